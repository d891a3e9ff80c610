import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What the image gives Node. */
export function imageOptions(): string {
  const dockerfile = readFileSync(join(import.meta.dirname, '../../Dockerfile'), 'utf8')
  return /^ENV NODE_OPTIONS=(.+)$/m.exec(dockerfile)?.[1] ?? ''
}
