import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acceptable, hostPlatform, parsePlatform, platformOf } from '../../core/formats/read/platform.js'
import { fullName, normalizeName, tagOf } from '../../core/reference.js'

test('names are normalized, as docker shows them', () => {
  const rows = [
    ['alpine', 'alpine:latest', 'docker.io/library/alpine:latest'],
    ['alpine:3.18', 'alpine:3.18', 'docker.io/library/alpine:3.18'],
    ['library/alpine', 'alpine:latest', 'docker.io/library/alpine:latest'],
    ['docker.io/library/alpine:3', 'alpine:3', 'docker.io/library/alpine:3'],
    ['index.docker.io/library/alpine', 'alpine:latest', 'docker.io/library/alpine:latest'],
    ['docker.io/user/app:1', 'user/app:1', 'docker.io/user/app:1'],
    ['user/app', 'user/app:latest', 'docker.io/user/app:latest'],
    ['ghcr.io/a/b:x', 'ghcr.io/a/b:x', 'ghcr.io/a/b:x'],
    ['localhost/app', 'localhost/app:latest', 'localhost/app:latest'],
    ['localhost:5000/app', 'localhost:5000/app:latest', 'localhost:5000/app:latest'],
    ['Registry:5000/app:T_1.x-y', 'Registry:5000/app:T_1.x-y', 'Registry:5000/app:T_1.x-y'],
    ['a__b/c-d--e.f_g:1', 'a__b/c-d--e.f_g:1', 'docker.io/a__b/c-d--e.f_g:1'],
  ] as const
  for (const [text, name, full] of rows) {
    assert.equal(normalizeName(text), name)
    assert.equal(fullName(name), full)
    assert.equal(normalizeName(full), name)
    assert.equal(normalizeName(name), name)
  }
  assert.equal(tagOf('localhost:5000/app:1'), '1')
})

test('an invalid name is refused', () => {
  const rows = [
    '', ' ', 'UPPER', 'a b', '../x', 'a/../b', '/a', 'a/', 'a:', 'a:b:c', ':tag', 'a//b', '-a', 'a-', 'a\n', 'a:tag\n',
    `a@sha256:${'0'.repeat(64)}`, '0'.repeat(64), 'a'.repeat(300), `a:${'t'.repeat(129)}`, 'a:-x', 'é', 'a\0b',
  ] // biome-ignore format: a table
  for (const text of rows)
    assert.throws(() => normalizeName(text), { code: 'INVALID_ARGUMENT' }, JSON.stringify(text))
})

test('a name that looks like an id is refused, with that reason', () => {
  const hex = '0a'.repeat(32)
  for (const text of [
    'sha256',
    'sha256:abc',
    'library/sha256:1',
    'docker.io/library/sha256',
    hex,
    `${hex}:1`,
    `docker.io/library/${hex}`,
  ]) {
    assert.throws(() => normalizeName(text), { code: 'INVALID_ARGUMENT', message: /ids look like/ }, text)
  }
  assert.equal(normalizeName('example.org/sha256:1'), 'example.org/sha256:1')
  assert.equal(normalizeName('deadbeef'), 'deadbeef:latest')
})

test('platforms are normalized', () => {
  const rows = [
    ['linux/amd64', 'linux/amd64'],
    ['linux/x86_64', 'linux/amd64'],
    ['Linux/AMD64', 'linux/amd64'],
    ['linux/amd64/v1', 'linux/amd64'],
    ['linux/amd64/v3', 'linux/amd64/v3'],
    ['linux/arm64/v8', 'linux/arm64'],
    ['linux/aarch64', 'linux/arm64'],
    ['linux/arm', 'linux/arm/v7'],
    ['linux/arm/7', 'linux/arm/v7'],
    ['linux/armel', 'linux/arm/v6'],
    ['linux/i386', 'linux/386'],
    ['linux/s390x', 'linux/s390x'],
    ['windows/amd64', 'windows/amd64'],
  ] as const
  for (const [text, expected] of rows) assert.equal(parsePlatform(text), expected)
  for (const text of [
    '',
    'linux',
    'linux/',
    '/amd64',
    'linux/amd64/v1/x',
    'linux/am d64',
    'linux/amd64/',
    '../x/y/z',
  ]) {
    assert.throws(() => parsePlatform(text), { code: 'INVALID_ARGUMENT' }, text)
  }
  assert.equal(platformOf(undefined, undefined, undefined), 'linux/unknown')
  assert.equal(parsePlatform(hostPlatform()), hostPlatform())
})

test('a platform falls back to others that it can run, the best first', () => {
  const rows = [
    ['linux/arm/v7', ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
    ['linux/arm/v8', ['linux/arm/v8', 'linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5']],
    ['linux/arm/v5', ['linux/arm/v5']],
    ['linux/amd64/v3', ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64']],
    ['linux/amd64', ['linux/amd64']],
    ['linux/arm64', ['linux/arm64']],
  ] as const
  for (const [platform, expected] of rows) assert.deepEqual(acceptable(platform), expected)
})
