import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { SCRIPTS } from '../../cli/commands/completion-scripts.js'
import { complete, type Sources } from '../../cli/complete.js'
import { commands } from '../../cli/registry.js'
import type { Store } from '../../core/api/store.js'
import { CLI, varveAt } from '../support/varve.js'
import { dockerContent, imageOf, layerTar, tarOf } from '../unit/formats/build.js'
import { image, layer } from './fake.js'

const work = mkdtempSync(join(tmpdir(), 'varve-complete-'))
after(() => rmSync(work, { recursive: true, force: true }))

const roots: string[] = []
const store = {
  images: () => [image(1, ['debian:12', 'debian:latest'], ['l0', 'l1']), image(2, ['alpine:3'], ['l2'])],
  layers: () => [layer('l0'), layer('work', { kind: 'active' })],
  close: () => Promise.resolve(),
} as Partial<Store> as Store

const sources: Sources = {
  store(global) {
    roots.push(global.root)
    return Promise.resolve(store)
  },
  drivers: () => Promise.resolve(['overlay', 'vfs']),
}

test('each word is completed with what may stand there', async () => {
  const table: readonly (readonly [words: readonly string[], candidates: readonly string[]])[] = [
    [[''], commands.map((entry) => entry.name).sort()],
    [['di'], ['diff']],
    [['--js'], ['--json']],
    [
      ['--driver', ''],
      ['overlay', 'vfs'],
    ],
    [['--driver=o'], ['--driver=overlay']],
    [['--driver', 'vfs', 'tre'], ['tree']],
    [['--root', ''], [':files']],
    [['import', ''], [':files']],
    [['import', 'a.tar', ''], [':files']],
    [['import', '--name', ''], []],
    [
      ['export', ''],
      ['alpine:3', 'debian:12', 'debian:latest'],
    ],
    [
      ['export', 'deb'],
      ['debian:12', 'debian:latest'],
    ],
    [['export', 'debian:12', ''], []],
    [['export', 'debian:12', '-o', ''], [':files']],
    [
      ['export', '--format', 'oci'],
      ['oci-archive', 'oci-layout'],
    ],
    [['export', '--format=oci-a'], ['--format=oci-archive']],
    [['export', '--layer', 'alp'], ['alpine:3#0']],
    [['commit', ''], ['work']],
    [['driver', ''], ['ls']],
    [
      ['completion', ''],
      ['bash', 'fish', 'zsh'],
    ],
    [
      ['prune', '--'],
      ['--all', '--driver', '--help', '--json', '--quiet', '--root', '--storage-opt'],
    ],
    [['images', ''], []],
    [['nonsense', ''], commands.map((entry) => entry.name).sort()],
    [
      ['ls', 'debian:12#'],
      ['debian:12#0', 'debian:12#1'],
    ],
  ]
  for (const [words, candidates] of table) {
    assert.deepEqual(await complete(words, {}, sources), candidates, words.join(' '))
  }
})

test('completion uses the store of the command line or of the environment', async () => {
  roots.length = 0
  await complete(['--root', '/one', 'export', ''], {}, sources)
  await complete(['export', ''], { VARVE_ROOT: '/two' }, sources)
  assert.deepEqual(roots, ['/one', '/two'])
})

test('a store that can not be opened gives no candidates', async () => {
  const broken: Sources = { ...sources, store: () => Promise.reject(new Error('broken')) }
  assert.deepEqual(await complete(['export', ''], {}, broken), [])
})

test('a missing root is not created', async () => {
  assert.deepEqual(await complete(['--root', '/nonexistent/varve', 'export', ''], {}), [])
})

test('bash completes image names past their colon with our script', () => {
  const script = `${SCRIPTS.bash}
    varve() { printf '%s|' "$@" >&2; printf 'debian:12\\ndebian:latest\\n'; }
    COMP_LINE='varve --root /x export debian:' COMP_POINT=30
    COMP_WORDS=(varve --root /x export debian :) COMP_CWORD=5
    _varve; printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout } = spawnSync('bash', ['--norc', '-c', script], { encoding: 'utf8' })
  assert.equal(stdout, '12\nlatest\n')
})

for (const shell of ['bash', 'zsh', 'fish'] as const) {
  test(`${shell} accepts our script`, () => {
    const file = join(work, `script.${shell}`)
    writeFileSync(file, SCRIPTS[shell])
    const { status, stderr } = spawnSync(shell, ['-n', file], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
  })
}

/** The words that a shell offers for a line, through the real command, on a store with one image. */
const LINES: readonly (readonly [typed: string, offered: readonly string[]])[] = [
  ['varve expo', ['export']],
  ['varve tr', ['tree']],
  ['varve export app:', ['app:1', 'app:2']],
  ['varve export --format oci-a', ['oci-archive']],
  ['varve commit w', ['work']],
  ['varve images --js', ['--json']],
  ['varve import sou', ['source.tar']],
]

/** The arguments that make a shell print the words that it offers for a line, one on each line. */
const ASK: Readonly<Record<keyof typeof SCRIPTS, (typed: string) => readonly string[]>> = {
  bash: (typed) => [
    '--norc',
    '-c',
    `${SCRIPTS.bash}
    COMP_LINE="$1" COMP_POINT=\${#1}
    read -ra COMP_WORDS <<<"\${1//[:=]/ & }"
    COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 ))
    compopt() { :; }
    _varve
    # What stands before a colon or "=" is in the line already.
    last="\${1##* }" kept="\${1##* }"; kept="\${kept%"\${last##*[:=]}"}"
    printf "$kept%s\n" "\${COMPREPLY[@]}"`,
    'bash',
    typed,
  ],
  // compsys in a pseudo-terminal (zsh/zpty); the function that adds candidates prints them.
  zsh: (typed) => ['-f', '-c', ZSH, 'zsh', typed],
  fish: (typed) => ['--no-config', '-c', `${SCRIPTS.fish}\ncomplete -C "$argv[1]"`, typed],
}

const ZSH = `
zmodload zsh/zpty
zpty shell zsh -f -i
say() { zpty -w shell "$1" }
until_line() { local line; while zpty -r shell line; do line="\${line//[$'\r\n']/}"; [[ "$line" == *"$1" && "$line" != *print* ]] && return; done }
say 'PS1= PS2= ; stty -echo 2>/dev/null; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D'
say "source \${(q)VARVE_SCRIPT}"
say 'compadd() { local -a all; if [[ "$1" == -a ]]; then all=("\${(@P)2}"); else builtin compadd -O all "$@"; fi; for each in $all; do [[ "$each" == "$PREFIX"* ]] && print -r -- "offered <$IPREFIX$each>"; done; builtin compadd "$@" }'
say 'zle -C offer complete-word ask; ask() { _main_complete; print "end <>"; }; bindkey "^X" offer; print rea""dy'
until_line ready
zpty -w -n shell "$1"$'\x18'
while zpty -r shell line; do
  line="\${line//[$'\r\n']/}"
  [[ "$line" == *"end <>"* ]] && break
  [[ "$line" == *"offered <"*">"* ]] && print -r -- "\${\${line##*offered <}%>*}"
done
zpty -d shell
`

for (const [shell, ask] of Object.entries(ASK)) {
  test(`${shell} completes what is typed, with the real command`, { timeout: 900_000 }, async () => {
    const bin = join(work, 'bin')
    mkdirSync(bin, { recursive: true })
    writeFileSync(join(bin, 'varve'), `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`, {
      mode: 0o755,
    })
    const script = join(work, 'varve.zsh')
    writeFileSync(script, SCRIPTS.zsh)
    writeFileSync(join(work, 'source.tar'), '')
    const real = varveAt(join(work, 'root'), 'vfs')
    if (!existsSync(real.root)) {
      mkdirSync(real.root, { mode: 0o700 })
      const archive = join(work, 'app.tar')
      writeFileSync(
        archive,
        tarOf(dockerContent([{ ...imageOf([layerTar('app')]), tags: ['app:1', 'app:2'] }])),
      )
      await real.varve('import', archive)
      await real.varve('create', '--id', 'work')
    }
    const env = {
      ...process.env,
      PATH: `${bin}:${process.env.PATH}`,
      VARVE_ROOT: real.root,
      VARVE_DRIVER: 'vfs',
      HOME: work,
      VARVE_SCRIPT: script,
      TERM: 'dumb',
    }
    for (const [typed, offered] of LINES) {
      const { stdout, stderr } = spawnSync(shell, ask(typed), { encoding: 'utf8', env, cwd: work })
      // fish adds a description after a tab.
      const words = stdout
        .split('\n')
        .filter(Boolean)
        .map((line) => line.replace(/\t.*/, ''))
      assert.deepEqual([...new Set(words)].sort(), offered, `${typed}: ${stdout}${stderr}`)
    }
  })
}
