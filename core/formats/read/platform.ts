/** Platforms: `os/architecture[/variant]`, with the aliases and fallbacks of containerd's `platforms` package. */
import { VarveError } from '../../errors.js'

/** This machine's. */
export function hostPlatform(): string {
  const architecture = HOST_ARCHITECTURES[process.arch] ?? process.arch
  return architecture === 'arm' ? 'linux/arm/v7' : `linux/${architecture}`
}

/** In its one spelling: `linux/aarch64` and `linux/arm64/v8` become `linux/arm64`. @throws VarveError INVALID_ARGUMENT */
export function parsePlatform(text: string): string {
  const [os, architecture, variant, ...rest] = text.split('/')
  const parts = [os, architecture, ...(variant === undefined ? [] : [variant])]
  if (rest.length > 0 || !parts.every((part) => part !== undefined && /^[\w.-]{1,64}$/.test(part))) {
    const shown = JSON.stringify(text.slice(0, 100))
    throw new VarveError(
      'INVALID_ARGUMENT',
      `malformed platform ${shown}: want os/architecture[/variant], such as linux/arm64`,
    )
  }
  return platformOf(os, architecture, variant)
}

/** Of a config or a descriptor, where fields may be missing. */
export function platformOf(
  os: string | undefined,
  architecture: string | undefined,
  variant: string | undefined,
): string {
  const given = (architecture || 'unknown').toLowerCase()
  const [arch = given, implied] = ALIASES[given] ?? [given]
  const exact = (variant || implied || DEFAULT_VARIANTS[arch] || '').toLowerCase().replace(/^(?=\d)/, 'v')
  const shown = exact === '' || exact === UNSAID_VARIANTS[arch] ? '' : `/${exact}`
  return `${(os || 'linux').toLowerCase()}/${arch}${shown}`
}

/** The platforms whose images run on `platform` (a parsed one), best first. */
export function acceptable(platform: string): readonly string[] {
  const [os, architecture, variant = ''] = platform.split('/')
  if (architecture === 'arm') {
    return range(variant, 5, 8).map((number) => `${os}/arm/v${number}`)
  }
  if (architecture === 'amd64' && variant !== '') {
    return range(variant, 1, 4).map((number) => platformOf(os, 'amd64', `v${number}`))
  }
  return [platform]
}

/** From the variant's number down to `lowest`. */
function range(variant: string, lowest: number, highest: number): number[] {
  const number = Math.min(Number(/^v(\d)$/.exec(variant)?.[1] ?? lowest), highest)
  return Array.from({ length: Math.max(number - lowest + 1, 1) }, (_, index) => number - index)
}

const HOST_ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
}
const ALIASES: Readonly<Record<string, readonly [architecture: string, variant?: string]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  i386: ['386'],
  i686: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
}
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { arm: 'v7' }
const UNSAID_VARIANTS: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8' }
