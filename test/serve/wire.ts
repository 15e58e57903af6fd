/** A length-delimited field of protobuf's wire format, with a number below 16 and less than 128 bytes. */
export function field(number: number, content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string)
  if (number > 15 || bytes.length > 127) throw new Error('this field needs a longer head')
  return Buffer.concat([Buffer.from([number * 8 + 2, bytes.length]), bytes])
}
