/** Repeats containerd's calls and its changes of files, and compares the answers with the recorded ones. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { writeSmallImage } from '../../../fixtures/small.js'
import type { Varve } from '../../support/varve.js'
import { isStatus, type Message, openClient, type SnapshotClient } from '../containerd/snapshot-client.js'
import { differencesOf, tampered } from './compare.js'
import { answerOf, treeOfMounts, withMounts } from './containerd-recorder.js'
import { applyChanges, digestOfTree } from './edits.js'
import type { ContainerdCall, ContainerdLine, Json } from './lines.js'
import { createNames, THEIRS } from './names.js'

export interface ContainerdReplay {
  readonly driver: string
  readonly varve: Varve
  /** The directory for all files. */
  readonly place: string
  readonly socket: string
  restart(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

/** Returns the number of calls. @throws AssertionError at the first call with another answer */
export async function replayContainerd(
  lines: readonly ContainerdLine[],
  { driver, varve, place, socket, restart }: ContainerdReplay,
): Promise<number> {
  const since = BigInt(Math.floor(Date.now() / 1000)) * 1_000_000_000n
  // Digests without a name are those of the image of fixtures/small.ts.
  const kept = JSON.stringify(lines).match(/[0-9a-f]{64}/g) ?? []
  const names = createNames({ ROOT: varve.root, PLACE: place }, { kinds: THEIRS, kept })
  const mounts = new Map<string, Json>()
  const unknowns = new Map<string, string>()
  const clients = new Map<string, SnapshotClient>()
  let [step, calls] = ['', 0]

  const clientFor = async (namespace = ''): Promise<SnapshotClient> => {
    const client = clients.get(namespace) ?? (await openClient(socket, namespace === '' ? {} : { namespace }))
    clients.set(namespace, client)
    return client
  }
  const closeAll = () => {
    for (const client of clients.values()) client.close()
    clients.clear()
  }

  /** The answer in the transcript's form. */
  const outcome = async ({ call, request, namespace }: ContainerdCall): Promise<Json> => {
    const client = await clientFor(namespace)
    try {
      const answer = answerOf(call, await send(client, call, names.long(request) as Message))
      const told = (answer as { readonly mounts?: Json }).mounts
      if (told === undefined) return { answer: names.short(answer) }
      mounts.set(String((request as Message).key), told)
      return { answer: names.short(answer), tree: digestOfTree(treeOfMounts(told), since) }
    } catch (error) {
      if (!isStatus(error)) throw error
      return { error: names.short({ code: error.code, details: error.details }) }
    }
  }

  await writeSmallImage(join(place, 'small.tar'))
  try {
    for (const line of lines) {
      if ('engine' in line) continue
      if ('step' in line) step = line.step
      else if ('admin' in line) await varve.varve(...names.long(line.admin))
      else if ('edit' in line) {
        const where = mounts.get(line.edit)
        if (where === undefined) throw new Error(`the transcript changes ${line.edit}, which is not mounted`)
        withMounts(where, (path) => applyChanges(path, line.changes))
      } else if ('restart' in line) {
        closeAll()
        await restart(line.restart)
      } else {
        calls += 1
        const { call, request, namespace: _, ...recorded } = line
        const [was, is] = [recorded as unknown as Json, await outcome(line)].map((each) =>
          comparable(each, call, driver),
        )
        const found = differencesOf(was, is, unknowns)
        assert.equal(found.length, 0, [`${step}: ${call} ${JSON.stringify(request)}`, ...found].join('\n'))
        for (const other of tampered(was ?? null)) {
          const passes = differencesOf(other, is, new Map(unknowns)).length === 0
          assert.ok(!passes, `a wrong answer passes for the right one: ${JSON.stringify(other)}`)
        }
      }
    }
  } finally {
    closeAll()
  }
  return calls
}

async function send(client: SnapshotClient, call: string, request: Message) {
  if (call !== 'List') return [await client.call<{ readonly [key: string]: Json }>(call, request)]
  const info = await client.list(request.filters as readonly string[])
  return [{ info: info as unknown as Json }]
}

/** On another backend than the transcript's, without what depends on the backend. */
function comparable(outcome: Json, call: string, driver: string): Json {
  if (driver === RECORDED_ON) return outcome
  const { answer, ...rest } = outcome as { readonly answer?: { readonly [key: string]: Json } }
  if (answer === undefined) return rest
  if (answer.mounts !== undefined) return rest
  return call === 'Usage' ? { ...rest, answer: { size: answer.size ?? null } } : outcome
}

const RECORDED_ON = 'overlay'
