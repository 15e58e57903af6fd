/** Repeats dockerd's calls and its changes of files, and compares the answers with the recorded ones. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { collect, responseOf } from '../docker/client.js'
import type { DockerWorld } from '../docker/world.js'
import { differencesOf, tampered } from './compare.js'
import { ownless } from './docker-recorder.js'
import { applyChanges, digestOfTree, linesOfTree, treeOf } from './edits.js'
import type { DockerCall, DockerLine, Json } from './lines.js'
import { createNames, THEIRS } from './names.js'
import { digestOf, entriesOf, unpack } from './tars.js'

/** Returns the number of calls. @throws AssertionError at the first call with another answer */
export async function replayDocker(lines: readonly DockerLine[], world: DockerWorld): Promise<number> {
  const { place, driver, client, restart } = world
  const since = Math.floor(Date.now() / 1000) * 1000
  const sinceNs = BigInt(since) * 1_000_000n
  const names = createNames({ ROOT: world.varve.root, PLACE: place }, { kinds: THEIRS })
  const tars = new Map<string, Buffer>()
  const mounts = new Map<string, string>()
  const unknowns = new Map<string, string>()
  let [headers, step, calls]: [Readonly<Record<string, string>>, string, number] = [{}, '', 0]

  const send = async ({ call, query, request, requestTar }: DockerCall) => {
    const parameters = query === undefined ? '' : `?${new URLSearchParams(names.long(query))}`
    const asking = client.open(`/${call}${parameters}`, headers)
    const response = responseOf(asking)
    if (requestTar !== undefined) await pipeline(Readable.from([tarOf(requestTar)]), asking)
    else asking.end(request === undefined ? '' : `${JSON.stringify(names.long(request))}\n`)
    const { statusCode: status = 0, headers: told } = await response
    return { status, isJson: /json/.test(told['content-type'] ?? ''), body: await collect(await response) }
  }
  const tarOf = (name: string): Buffer => {
    const tar = tars.get(name)
    if (tar === undefined) throw new Error(`the transcript sends ${name} before anybody had it`)
    return tar
  }
  /** The answer in the transcript's form. */
  const outcome = async (line: DockerCall): Promise<Outcome> => {
    const { status, isJson, body } = await send(line)
    if (!isJson) {
      const { answerTar = '?' } = line
      const known = tars.get(answerTar)
      tars.set(answerTar, known ?? body)
      if (known !== undefined) return { status, answerTar: known.equals(body) ? answerTar : digestOf(body) }
      return { status, answerTar, entries: await entriesOf(body, since) }
    }
    const answer = ownless(line.call, JSON.parse(body.toString('utf8')) as Json)
    const { ID, Dir } = { ...(line.request as { ID?: string }), ...(answer as { Dir?: string }) }
    if (line.call !== 'GraphDriver.Get' || status !== 200) return { status, answer: names.short(answer) }
    mounts.set(String(ID), String(Dir))
    const tree = treeOf(String(Dir))
    return {
      status,
      answer: names.short(answer),
      tree: digestOfTree(tree, sinceNs),
      lines: linesOfTree(tree, sinceNs),
    }
  }

  for (const line of lines) {
    if ('engine' in line) headers = line.headers
    else if ('step' in line) step = line.step
    else if ('tar' in line) {
      const tar = unpack(line.bytes)
      assert.deepEqual(await entriesOf(tar, since), line.entries, `${line.tar} differs`)
      tars.set(line.tar, tar)
    } else if ('edit' in line) {
      const dir = mounts.get(line.edit)
      if (dir === undefined) throw new Error(`the transcript changes ${line.edit}, which is not mounted`)
      applyChanges(dir, line.changes)
    } else if ('restart' in line) await restart(line.restart)
    else {
      calls += 1
      const { lines: seen, ...is } = await outcome(line)
      const [was, now] = [recordedOf(line), is as Json].map((each) => comparable(each, line.call, driver))
      const found = differencesOf(was, now, unknowns)
      const words = [`${step}: ${line.call} ${JSON.stringify(line.request ?? line.query ?? '')}`, ...found]
      if (found.some((each) => each.startsWith('.tree'))) words.push(...(seen ?? []))
      assert.equal(found.length, 0, words.join('\n'))
      for (const other of tampered(was ?? null))
        assert.notDeepEqual(
          differencesOf(other, now, new Map(unknowns)),
          [],
          'a wrong answer passes for the right one',
        )
    }
  }
  return calls
}

interface Outcome {
  readonly status: number
  readonly answer?: Json
  readonly answerTar?: string
  readonly entries?: readonly string[]
  readonly tree?: string
  /** The tree as text, shown where it differs. */
  readonly lines?: readonly string[]
}

function recordedOf(line: DockerCall): Json {
  const { call, query, request, requestTar, ...rest } = line
  return rest as unknown as Json
}

/** On another backend than the transcript's, without what depends on the backend. */
function comparable(outcome: Json, call: string, driver: string): Json {
  if (driver === RECORDED_ON) return outcome
  const { answer, ...rest } = outcome as { readonly answer?: { readonly [key: string]: Json } }
  if (call === 'GraphDriver.GetMetadata' || answer?.Err !== undefined) return rest
  if (call !== 'GraphDriver.Status') return outcome
  const pairs = answer?.Status as readonly (readonly [string, string])[]
  return { ...rest, answer: pairs.filter(([key, value]) => key !== 'Driver' && value !== 'OWN') }
}

const RECORDED_ON = 'overlay'
