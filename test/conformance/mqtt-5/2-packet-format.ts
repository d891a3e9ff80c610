import type { Chapter } from '../statement.ts'

/** MQTT 5 (OASIS, 7 March 2019), chapter 2: format of packets. */
export const chapter2: Chapter = {
  '2.1.3-1': 'reserved flags are as the table says, or the packet is malformed',
  '2.2.1-2': 'QoS 0 has no packet id',
  '2.2.1-3': 'packet ids are not zero',
  '2.2.1-4': 'a message of the server takes a packet id that is free',
  '2.2.1-5': 'an acknowledgement has the packet id of its PUBLISH',
  '2.2.1-6': 'SUBACK and UNSUBACK have the packet id of their request',
  '2.2.2-1': 'no properties are a length of zero',
}
