/** How Kubernetes pulls an image: one call of containerd's CRI service, with its two messages encoded by hand. */
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { field } from '../wire.js'

/** Pulls `image` as a kubelet does. @throws ServiceError */
export async function criPull(socket: string, image: string): Promise<void> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  try {
    await new Promise<void>((resolve, reject) => {
      client.makeUnaryRequest(
        '/runtime.v1.ImageService/PullImage',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        field(1, field(1, image)), // PullImageRequest.image is an ImageSpec, whose image is the name
        (error: ServiceError | null) => (error ? reject(error) : resolve()),
      )
    })
  } finally {
    client.close()
  }
}
