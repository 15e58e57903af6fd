/** The image that a round of the kill tests imports: three layers on top of the image that stays. */
import { type CodeEntry, file, tarOf, writeDockerArchive } from '../../../../fixtures/docker-archive.js'
import { busyLayers } from '../../busy-image.js'
import { chainIdOf } from '../../chain-id.js'

export const ROUND_IMAGE = 'varve.test/round:1'

/** Writes it as a docker archive. Returns the chain id of its top layer. */
export async function writeRoundImage(file: string): Promise<string> {
  const layers = [...(await busyLayers()), ...(await Promise.all(UPPER.map((entries) => tarOf(entries))))]
  await writeDockerArchive(file, ROUND_IMAGE, layers)
  return chainIdOf(layers)
}

/** More files, a change and a link, deletions. */
const UPPER: readonly (readonly CodeEntry[])[] = [
  Array.from({ length: 10 }, (_, i) => file(`srv/more/${i}`, `more ${i}\n`.repeat(1000))),
  [file('srv/more/3', 'three\n'), { header: { name: 'srv/linked', type: 'link', linkname: 'srv/more/3' } }],
  [file('srv/more/.wh.5', ''), file('srv/keep/.wh.9', '')],
]
