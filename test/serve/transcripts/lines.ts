/**
 * A transcript: an engine's calls and their answers, one JSON value on each line, and between the calls its changes of the
 * files of mounted layers. README.md describes the lines.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkoutDirectory } from '../../../fixtures/cache.js'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** The change of one path in a mounted layer. */
export interface Change {
  readonly path: string
  readonly type: 'gone' | 'directory' | 'file' | 'symlink' | 'link'
  /** Four octal digits. `owner` is `uid:gid` where that is not 0:0. */
  readonly mode?: string
  readonly owner?: string
  /** In nanoseconds; absent where it is the time of the change. */
  readonly mtime?: string
  /** A file's text; `zeros` is the number of zero bytes that stand for it instead. */
  readonly content?: string
  readonly zeros?: number
  /** Of a symlink or hard link. */
  readonly target?: string
}

/** What the engine does next, for people. */
export interface Step {
  readonly step: string
}

export interface Begin {
  readonly engine: string
  /** The headers of every call. */
  readonly headers: Readonly<Record<string, string>>
}

/** A tar from the engine: its bytes (gzip, base64), with the contents of long files zeroed. */
export interface KeptTar {
  readonly tar: string
  readonly entries: readonly string[]
  readonly bytes: string
}

/** The engine changed files in the mounted layer with this id (docker) or key (containerd). */
export interface Edit {
  readonly edit: string
  readonly changes: readonly Change[]
}

/** The service got a signal, ended and was started again. */
export interface Restart {
  readonly restart: 'SIGTERM' | 'SIGKILL'
}

/**
 * The administrator runs `varve` with these arguments beside the service; `PLACE/small.tar` is the image of
 * fixtures/small.ts.
 */
export interface Admin {
  readonly admin: readonly string[]
}

/** `POST /call?query`. The request and the answer are JSON or a tar. */
export interface DockerCall {
  readonly call: string
  readonly query?: Readonly<Record<string, string>>
  readonly request?: Json
  readonly requestTar?: string
  readonly status: number
  readonly answer?: Json
  readonly answerTar?: string
  /** The tar's entries, where it occurs for the first time. */
  readonly entries?: readonly string[]
  /** For Get: a digest of the mounted tree. */
  readonly tree?: string
}

export interface ContainerdCall {
  readonly call: string
  /** The header `containerd-namespace`. */
  readonly namespace?: string
  readonly request: Json
  /** One message; for List the `info` of all messages. */
  readonly answer?: Json
  readonly error?: { readonly code: number; readonly details: string }
  /** For mounts: a digest of their tree. */
  readonly tree?: string
}

export type DockerLine = Begin | Step | KeptTar | Edit | Restart | DockerCall
export type ContainerdLine = Begin | Step | Edit | Restart | Admin | ContainerdCall

/**
 * A request of containerd as it was on the wire (hex, with digests replaced by others of the same length), and its fields.
 */
export interface WireLine {
  readonly request: string
  readonly bytes: string
  readonly fields: { readonly [key: string]: Json }
}

export interface Transcripts {
  readonly docker: DockerLine
  readonly containerd: ContainerdLine
  readonly 'containerd-wire': WireLine
}

export function readTranscript<N extends keyof Transcripts>(name: N): readonly Transcripts[N][] {
  return readFileSync(fileOf(name), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Transcripts[N])
}

export function writeTranscript<N extends keyof Transcripts>(
  name: N,
  lines: readonly Transcripts[N][],
): string {
  const file = fileOf(name)
  writeFileSync(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  return file
}

function fileOf(name: string): string {
  return join(checkoutDirectory(), 'test/serve/transcripts', `${name}.jsonl`)
}
