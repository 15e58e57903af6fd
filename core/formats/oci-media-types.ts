/** Media types of the OCI image-spec (media-types.md) and of Docker's distribution, which mean the same. */
export const INDEX_TYPES: readonly string[] = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]

export const MANIFEST_TYPES: readonly string[] = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
]

export const CONFIG_TYPES: readonly string[] = [
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.docker.container.image.v1+json',
]

/** May stay with their vendor and be missing from an archive. */
export const FOREIGN_LAYER_TYPES: readonly string[] = [
  'application/vnd.oci.image.layer.nondistributable.v1.tar',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  'application/vnd.oci.image.layer.nondistributable.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.foreign.diff.tar',
  'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
]

export const LAYER_TYPES: readonly string[] = [
  'application/vnd.oci.image.layer.v1.tar',
  'application/vnd.oci.image.layer.v1.tar+gzip',
  'application/vnd.oci.image.layer.v1.tar+zstd',
  'application/vnd.docker.image.rootfs.diff.tar',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
  'application/vnd.docker.image.rootfs.diff.tar.zstd',
  ...FOREIGN_LAYER_TYPES,
]

/** The annotation of what BuildKit puts beside an image (its attestation-storage.md). */
export const REFERENCE_TYPE = 'vnd.docker.reference.type'
/** The tag, by the spec; podman writes the whole name. */
export const REF_NAME = 'org.opencontainers.image.ref.name'
/** The whole name, as containerd and docker 25 write it. */
export const IMAGE_NAME = 'io.containerd.image.name'
