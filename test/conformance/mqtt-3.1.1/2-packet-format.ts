import { ofTheClient, type Chapter } from '../statement.ts'

/** MQTT 3.1.1 (OASIS, 29 October 2014), chapter 2: format of packets. */
export const chapter2: Chapter = {
  '2.2.2-1': 'reserved flags are sent as the table says',
  '2.2.2-2': 'other flags close the connection',
  '2.3.1-1': 'packet ids are not zero',
  '2.3.1-2': ofTheClient('a new packet has a packet id that is free'),
  '2.3.1-3': ofTheClient('what is sent again keeps its packet id'),
  '2.3.1-4': 'a message of the server takes a packet id that is free',
  '2.3.1-5': 'QoS 0 has no packet id',
  '2.3.1-6': 'an acknowledgement has the packet id of its PUBLISH',
  '2.3.1-7': 'SUBACK and UNSUBACK have the packet id of their request',
}
