import type { Chapter } from '../statement.ts'

/** MQTT 3.1.1 (OASIS, 29 October 2014), chapter 1: data representation. */
export const chapter1: Chapter = {
  '1.5.3-1': 'ill-formed UTF-8 closes the connection',
  '1.5.3-2': 'U+0000 in a text closes the connection',
  '1.5.3-3': 'a byte order mark in a text is a character like any other',
}
