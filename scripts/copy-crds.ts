/** Copies crds/ into the chart, since helm packs nothing from outside of it. With --check it only compares. */
import { generateDirectory, readDirectory } from './generated-directory.ts'

const wanted = await readDirectory(new URL('../crds/', import.meta.url), '.yaml')
if (wanted.size === 0) {
  console.error('crds/ is empty: run npm run generate')
  process.exitCode = 1
} else {
  await generateDirectory(new URL('../charts/cloudsignal/files/crds/', import.meta.url), '.yaml', wanted)
}
