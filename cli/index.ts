import type { Command } from './command.ts'
import { explain } from './explain.ts'

export const commands: readonly Command[] = [explain]
