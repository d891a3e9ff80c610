import { readFile } from 'node:fs/promises'

/** A block of code of a page of docs/, without the indentation of the list that it may stand in. */
export interface PageBlock {
  readonly language: string
  /** What stands behind the language, such as a file name. */
  readonly name: string
  readonly text: string
}

export async function readPage(path: string): Promise<{ text: string; blocks: readonly PageBlock[] }> {
  const text = await readFile(new URL(`../../docs/${path}`, import.meta.url), 'utf8')
  const found = text.matchAll(/^( *)```(\S*) ?(.*)\n([^]*?)^\1```$/gm)
  const blocks = [...found].map(([, indent = '', language = '', name = '', body = '']) => ({
    language,
    name,
    text: body.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }))
  return { text, blocks }
}

/** The one block that has this name, or is of this language. */
export function blockOf(blocks: readonly PageBlock[], name: string): string {
  const named = blocks.filter(
    (block) => block.name === name || (block.name === '' && block.language === name),
  )
  const [only] = named
  if (only === undefined || named.length > 1) {
    throw new Error(`the page has ${named.length} blocks called ${name}`)
  }
  return only.text
}
