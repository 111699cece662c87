export { type Collection, type CollectionOptions, collectBlobs } from './collect.ts'
export { type Content, capped, hashing, putJson, readBlob, readJson, verified } from './content.ts'
export { alsoPin, movePins, type Pin, pinAll, pinBlobs, unpinBlobs } from './pin.ts'
export { blobEndpoints } from './routes.ts'
