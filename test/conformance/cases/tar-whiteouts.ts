/** aufs's whiteouts, which OCI uses, become the backend's own, and are whiteouts again in a diff. */
import { file, header, pax } from '../../support/tar-bytes.js'
import type { Case } from '../suite.js'
import { tarCase } from '../tar-case.js'

const ALL = 'abs d d/one d/sub d/sub/deep d/two f link'
const dir = (name: string) => header({ name: `${name}/`, type: '5', mode: 0o755 })
const empty = (name: string) => file(name, '')

export const whiteoutTarCases: readonly Case[] = [
  tarCase({
    title: 'an empty tar changes nothing, and its diff is empty',
    entries: [],
    tree: ALL,
    diff: '',
  }),
  tarCase({
    title: 'a whiteout hides a file, and comes out with the directories above it',
    entries: [empty('d/sub/.wh.deep')],
    tree: 'abs d d/one d/sub d/two f link',
    diff: './ d/ d/sub/ d/sub/.wh.deep',
  }),
  tarCase({
    title: 'a whiteout hides a directory with all below it, and comes out as one whiteout',
    entries: [empty('.wh.d'), empty('.wh.f')],
    tree: 'abs link',
    diff: './ .wh.d .wh.f',
  }),
  tarCase({
    title: 'a whiteout of a missing file does nothing, also below a missing directory',
    entries: [empty('d/.wh.nope'), empty('no/.wh.x'), empty('f/.wh.x')],
    tree: ALL,
    diff: '',
  }),
  tarCase({
    title: 'a whiteout hides the layers below only: files of the same tar stay, before it and after',
    entries: [file('d/one', 'new'), empty('d/.wh.one'), empty('d/.wh.two'), file('d/three', '')],
    tree: 'abs d d/one d/sub d/sub/deep d/three f link',
    diff: './ d/ d/.wh.two d/one d/three',
  }),
  tarCase({
    title: 'a directory entry after its whiteout shows nothing of the layers below',
    entries: [empty('.wh.d'), dir('d'), file('d/mine', '')],
    tree: 'abs d d/mine f link',
    diff: './ d/ d/.wh.one d/.wh.sub d/.wh.two d/mine',
  }),
  tarCase({
    title: 'an opaque marker hides what the layers below have, name by name',
    entries: [file('d/mine', ''), empty('d/.wh..wh..opq'), file('d/two', 'my own')],
    tree: 'abs d d/mine d/two f link',
    diff: './ d/ d/.wh.one d/.wh.sub d/mine d/two',
  }),
  tarCase({
    title: 'an opaque root hides everything but the tar’s own files',
    entries: [empty('.wh.f'), empty('.wh..wh..opq'), file('mine', '')],
    tree: 'mine',
    diff: './ .wh.abs .wh.d .wh.f .wh.link mine',
  }),
  tarCase({
    title: 'a whiteout inside an opaque directory leaves no name behind',
    entries: [empty('d/sub/.wh.deep'), empty('d/.wh.one'), empty('d/.wh..wh..opq'), empty('d/.wh.two')],
    tree: 'abs d f link',
    diff: './ d/ d/.wh.one d/.wh.sub d/.wh.two',
  }),
  tarCase({
    title: "aufs's own bookkeeping is not part of a layer",
    entries: [empty('.wh..wh.aufs'), dir('.wh..wh.plnk'), empty('.wh..wh.plnk/1.2'), dir('.wh..wh.orph')],
    tree: ALL,
    diff: '',
  }),
  tarCase({
    title: 'a whiteout through a symlink of the layer below hides the file in its target',
    entries: [empty('link/.wh.one'), empty('abs/.wh.deep')],
    tree: 'abs d d/sub d/two f link',
    diff: './ d/ d/.wh.one d/sub/ d/sub/.wh.deep',
  }),
  tarCase({
    title: "a backend's own attribute for an opaque directory, in a tar, hides nothing",
    entries: [
      pax([
        ['SCHILY.xattr.trusted.overlay.opaque', 'y'],
        ['SCHILY.xattr.trusted.overlay.redirect', '/d/sub'],
      ]),
      dir('d'),
      file('d/new', ''),
    ],
    tree: 'abs d d/new d/one d/sub d/sub/deep d/two f link',
    diff: './ d/ d/new',
  }),
]
