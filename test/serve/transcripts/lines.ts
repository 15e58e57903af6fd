/**
 * A transcript: what an engine said to us and was told, one JSON value a line, and between the calls what it did to the
 * files of the layers that it was given. README.md has the words.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkoutDirectory } from '../../../fixtures/cache.js'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** What has become of one path in a mounted layer. */
export interface Change {
  readonly path: string
  readonly type: 'gone' | 'directory' | 'file' | 'symlink' | 'link'
  /** Four octal digits, and `uid:gid` where that is not 0:0. */
  readonly mode?: string
  readonly owner?: string
  /** In nanoseconds; none where it was the time of the change. */
  readonly mtime?: string
  /** Of a file: its text, or how many bytes of zeros stand for it. */
  readonly content?: string
  readonly zeros?: number
  /** Of a symlink or hard link. */
  readonly target?: string
}

/** What the engine does next, for people; `engine` and `headers` begin the file. */
export interface Step {
  readonly step: string
}

export interface Begin {
  readonly engine: string
  /** Those of every call. */
  readonly headers: Readonly<Record<string, string>>
}

/** A tar that the engine brought: its bytes (gzip, base64), the contents of long files zeroed. */
export interface KeptTar {
  readonly tar: string
  readonly entries: readonly string[]
  readonly bytes: string
}

/** The engine changed files in the layer of this id (docker) or key (containerd), which it has mounted. */
export interface Edit {
  readonly edit: string
  readonly changes: readonly Change[]
}

/** The service got a signal, ended and was started again. */
export interface Restart {
  readonly restart: 'SIGTERM' | 'SIGKILL'
}

/** The administrator does this with `varve` while the service runs; `PLACE/small.tar` is the image of fixtures/small.ts. */
export interface Admin {
  readonly admin: readonly string[]
}

/** `POST /call?query`. What is sent is JSON or a tar, and so is what comes back. */
export interface DockerCall {
  readonly call: string
  readonly query?: Readonly<Record<string, string>>
  readonly request?: Json
  readonly requestTar?: string
  readonly status: number
  readonly answer?: Json
  readonly answerTar?: string
  /** Where the tar comes up for the first time. */
  readonly entries?: readonly string[]
  /** Of a Get: a digest of what is mounted there. */
  readonly tree?: string
}

export interface ContainerdCall {
  readonly call: string
  /** The header `containerd-namespace`. */
  readonly namespace?: string
  readonly request: Json
  /** One message; of a List all of their `info`. */
  readonly answer?: Json
  readonly error?: { readonly code: number; readonly details: string }
  /** Of mounts: a digest of what they show. */
  readonly tree?: string
}

export type DockerLine = Begin | Step | KeptTar | Edit | Restart | DockerCall
export type ContainerdLine = Begin | Step | Edit | Restart | Admin | ContainerdCall

/** One request of containerd's as it was on the wire (hex; digests are others of the same length), and what it means. */
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
