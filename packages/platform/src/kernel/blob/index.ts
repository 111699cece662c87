export { type Content, capped, hashing, putJson, readBlob, readJson, verified } from './content.ts'
export { type Collection, collectBlobs, pinBlobs, unpinBlobs } from './pin.ts'
export { blobEndpoints } from './routes.ts'
