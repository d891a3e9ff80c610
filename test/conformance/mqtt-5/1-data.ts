import type { Chapter } from '../statement.ts'

/** MQTT 5 (OASIS, 7 March 2019), chapter 1: data representation. */
export const chapter1: Chapter = {
  '1.5.4-1': 'ill-formed UTF-8 is malformed',
  '1.5.4-2': 'U+0000 in a text is malformed',
  '1.5.4-3': 'a byte order mark in a text is a character like any other',
  '1.5.5-1': 'a variable byte integer is as short as it can be',
  '1.5.7-1': 'both texts of a pair are well-formed',
}
