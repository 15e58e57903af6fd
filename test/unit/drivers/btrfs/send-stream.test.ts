import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { crc32c } from '../../../../drivers/btrfs/crc32c.js'
import { createReplay } from '../../../../drivers/btrfs/send-replay.js'
import { createSendParser } from '../../../../drivers/btrfs/send-stream.js'
import { type Loop, openLoop, whyNot } from './loop.js'
import { type Attribute, command, header, parseAll, recordStream } from './stream.js'

const PATH = 15
const PATH_TO = 16
const PATH_LINK = 17
const FILE_OFFSET = 18
const DATA = 19
const SIZE = 4
const EIGHT = '\x01\0\0\0\0\0\0\0'
const END = command(21, [])
const MKFILE = command(3, [[PATH, 'a']])
/** Commands that are the same in both versions. */
const COMMON: readonly Buffer[] = [
  command(1, [[PATH, 'snap']]),
  MKFILE,
  command(9, [
    [PATH, 'a'],
    [PATH_TO, 'd\xff'],
  ]),
]
const WRITE: readonly Attribute[] = [
  [PATH, 'd\xff'],
  [FILE_OFFSET, EIGHT],
  [DATA, 'hello'],
]

describe('the parser of send streams', () => {
  it('computes CRC-32C: the check value of the polynomial', () => {
    // "123456789" gives e3069283, with all ones as the initial value and the final XOR.
    assert.equal((crc32c(Buffer.from('123456789'), 0xffffffff) ^ 0xffffffff) >>> 0, 0xe3069283)
  })

  const streams: readonly (readonly [title: string, stream: Buffer, lines: readonly string[]])[] = [
    [
      'version 1',
      Buffer.concat([header(1), ...COMMON, command(15, WRITE), END]),
      [
        'subvol path=snap',
        'mkfile path=a',
        'rename path=a path_to=d\xff',
        `write path=d\xff file_offset=${EIGHT} data=hello`,
        'end',
      ],
    ],
    [
      'version 2, whose data has no length',
      Buffer.concat([
        header(2),
        ...COMMON,
        command(15, WRITE, true),
        command(24, [
          [PATH, 'd\xff'],
          [26, EIGHT],
        ]),
        command(
          25,
          [
            [PATH, 'd\xff'],
            [FILE_OFFSET, EIGHT],
            [27, EIGHT],
            [DATA, 'x'.repeat(70_000)],
          ],
          true,
        ),
        END,
      ]),
      [
        'subvol path=snap',
        'mkfile path=a',
        'rename path=a path_to=d\xff',
        `write path=d\xff file_offset=${EIGHT} data=hello`,
        `fileattr path=d\xff fileattr=${EIGHT}`,
        `encoded_write path=d\xff file_offset=${EIGHT} unencoded_file_len=${EIGHT} data=${'x'.repeat(70_000)}`,
        'end',
      ],
    ],
  ]
  for (const [title, stream, lines] of streams) {
    it(`reads ${title}, whole and byte by byte`, () => {
      assert.deepEqual(parseAll([stream]), lines)
      assert.deepEqual(
        parseAll(Array.from({ length: stream.length }, (_, i) => stream.subarray(i, i + 1))),
        lines,
      )
    })
  }

  it('reports CORRUPT for a stream that is cut off at any byte', () => {
    const stream = Buffer.concat([header(1), ...COMMON, command(15, WRITE), END])
    for (let length = 0; length < stream.length; length++) {
      assert.throws(() => parseAll([stream.subarray(0, length)]), { code: 'CORRUPT' }, `${length} bytes`)
    }
  })

  it('reports CORRUPT for a stream with any one byte changed', () => {
    const stream = Buffer.concat([header(1), ...COMMON, command(15, WRITE), END])
    for (let at = 0; at < stream.length; at++) {
      const changed = Buffer.from(stream)
      changed[at] = (changed[at] as number) ^ 0x21
      assert.throws(
        () => parseAll([changed]),
        { name: 'VarveError', code: /^(CORRUPT|UNIMPLEMENTED)$/ },
        `${at}`,
      )
    }
  })

  const bad: readonly (readonly [
    title: string,
    stream: readonly Buffer[],
    message: RegExp,
    code?: string,
  ])[] = [
    ['a future version', [header(3), END], /version 3/, 'UNIMPLEMENTED'],
    ['a command of version 2 in version 1', [header(1), command(24, [[PATH, 'a']]), END], /command 24/],
    ['a command of no version', [header(2), command(27, [])], /command 27/],
    ['command 0', [header(1), command(0, [])], /without|no |command 0|unspecified/],
    ['a command without its path', [header(1), command(4, []), END], /mkdir command has no path/],
    [
      'an attribute twice',
      [
        header(1),
        command(4, [
          [PATH, 'a'],
          [PATH, 'b'],
        ]),
        END,
      ],
      /path twice/,
    ],
    [
      'an attribute without a valid number',
      [
        header(1),
        command(4, [
          [PATH, 'a'],
          [99, 'b'],
        ]),
        END,
      ],
      /malformed/,
    ],
    ['an attribute that is longer than its command', [header(1), cutAttribute(), END], /malformed|within/],
    ['a command of 4 GiB', [header(1), Buffer.alloc(10, 0xff)], /more than any can have/],
    ['data after the end', [header(1), END, MKFILE], /follows its end/],
  ]
  for (const [title, chunks, message, code = 'CORRUPT'] of bad) {
    it(`refuses ${title}`, () => assert.throws(() => parseAll(chunks), { code, message }))
  }
})

/** An attribute whose length is one byte more than its data. */
function cutAttribute(): Buffer {
  const bytes = command(4, [[PATH, 'a']])
  bytes.writeUInt16LE(2, 12)
  bytes.fill(0, 6, 10)
  bytes.writeUInt32LE(crc32c(bytes), 6)
  return bytes
}

describe('the replay of send streams', () => {
  const candidates = (commands: readonly Buffer[]): string[] => {
    const replay = createReplay()
    const parser = createSendParser(replay.command)
    for (const chunk of [header(1), ...commands, END]) parser.push(chunk)
    parser.end()
    return [...replay.candidates()]
      .map(({ path, rebound, content }) => `${path}${rebound ? ' rebound' : ''}${content ? ' content' : ''}`)
      .sort()
  }
  const rename = (path: string, to: string) =>
    command(9, [
      [PATH, path],
      [PATH_TO, to],
    ])
  const update = (path: string) =>
    command(22, [
      [PATH, path],
      [FILE_OFFSET, EIGHT],
      [SIZE, EIGHT],
    ])
  const one = (number: number, path: string) => command(number, [[PATH, path]])
  const mode = (path: string) =>
    command(18, [
      [PATH, path],
      [5, EIGHT],
    ])
  const link = (path: string, to: string) =>
    command(10, [
      [PATH, path],
      [PATH_LINK, to],
    ])

  const cases: readonly (readonly [title: string, commands: readonly Buffer[], found: readonly string[]])[] =
    [
      [
        'a new file is a candidate under its final name only',
        [one(3, 'o257-8-0'), rename('o257-8-0', 'd/a')],
        ['d/a rebound content'],
      ],
      [
        'a change under a temporary name is reported under the final one',
        [rename('d', 'o9-1-0'), mode('o9-1-0/x/y'), rename('o9-1-0', 'e')],
        [
          'd rebound content',
          'e rebound content',
          'e/x rebound content',
          'e/x/y rebound content',
          'o9-1-0 rebound content',
        ],
      ],
      [
        'a directory that was renamed back is where it was',
        [rename('d', 'o9-1-0'), update('o9-1-0/f'), rename('o9-1-0', 'd')],
        ['d/f content', 'o9-1-0 rebound content'],
      ],
      [
        'two swapped names are both candidates',
        [rename('a', 'o9-1-0'), rename('b', 'a'), rename('o9-1-0', 'b')],
        ['a rebound content', 'b rebound content', 'o9-1-0 rebound content'],
      ],
      [
        'a file touched through a new link is reported under both names',
        [link('b', 'a'), update('b')],
        ['a content', 'b rebound content'],
      ],
      ['a mode is not content', [mode('a')], ['a']],
      ['the root can be touched', [mode('')], ['']],
      [
        'a directory made in the place of another',
        [one(11, 'd/f'), one(12, 'd'), one(4, 'o300-2-0'), rename('o300-2-0', 'd')],
        ['d rebound content'],
      ],
    ]
  for (const [title, commands, found] of cases) {
    it(title, () => assert.deepEqual(candidates(commands), [...found].sort()))
  }

  it('reports CORRUPT for a stream that refers to missing files', () => {
    assert.throws(() => candidates([one(11, 'a'), mode('a')]), { code: 'CORRUPT', message: /not there/ })
    assert.throws(() => candidates([one(4, 'new'), mode('new/x')]), { code: 'CORRUPT' })
  })
})

describe("the kernel's own streams", { skip: whyNot() ?? false }, () => {
  let loop: Loop
  before(() => {
    loop = openLoop('256M')
    const [old, now] = [`${loop.path}/old`, `${loop.path}/now`]
    const btrfs = (...args: string[]) => execFileSync('btrfs', ['-q', ...args])
    btrfs('subvolume', 'create', `${loop.path}/work`)
    fs.mkdirSync(`${loop.path}/work/dir`)
    fs.writeFileSync(`${loop.path}/work/dir/file`, 'a'.repeat(10_000))
    btrfs('subvolume', 'snapshot', '-r', `${loop.path}/work`, old)
    fs.renameSync(`${loop.path}/work/dir/file`, `${loop.path}/work/moved`)
    fs.writeFileSync(`${loop.path}/work/dir/file`, 'new')
    execFileSync('setfattr', ['-n', 'user.x', '-v', '1', `${loop.path}/work/dir`])
    btrfs('subvolume', 'snapshot', '-r', `${loop.path}/work`, now)
  })
  after(() => loop.close())

  it('are read, and are CORRUPT when cut off at any byte', () => {
    const stream = recordStream(`${loop.path}/old`, `${loop.path}/now`)
    const lines = parseAll([stream])
    assert.ok(lines.includes('link path=moved path_link=dir/file'), lines.join('\n'))
    assert.ok(lines.includes('set_xattr path=dir xattr_name=user.x xattr_data=1'), lines.join('\n'))
    for (let length = 0; length < stream.length; length++) {
      assert.throws(() => parseAll([stream.subarray(0, length)]), { code: 'CORRUPT' })
    }
  })

  it('are read in version 2, with data and compressed data', () => {
    const args = ['send', '--proto', '2', '-p', `${loop.path}/old`, `${loop.path}/now`]
    const stream = execFileSync('btrfs', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    assert.equal(stream.readUInt32LE(13), 2)
    const lines = parseAll([stream])
    assert.ok(
      lines.some((line) => line.startsWith('write path=') && line.endsWith(' data=new')),
      lines.join('\n'),
    )
    const names = (bytes: Buffer) => parseAll([bytes]).map((line) => line.split(' ')[0])
    const ours = names(recordStream(`${loop.path}/old`, `${loop.path}/now`))
    assert.deepEqual(
      names(stream).filter((name) => name !== 'write'),
      ours.filter((name) => name !== 'update_extent'),
    )
  })
})
