import { ofTheClient, type Chapter } from '../statement.ts'

/** MQTT 3.1.1 (OASIS, 29 October 2014), chapter 6: MQTT over WebSocket. */
export const chapter6: Chapter = {
  '6.0.0-1': 'WebSocket: binary frames',
  '6.0.0-2': 'WebSocket: packets and frames need not align',
  '6.0.0-3': ofTheClient('WebSocket: it offers the subprotocol mqtt'),
  '6.0.0-4': 'WebSocket: the server selects the subprotocol mqtt',
}
