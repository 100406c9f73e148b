/** For tests only: the other process of a channel, which answers `echo` and nothing else. */
import { Channel } from './channel.ts';

const channel: Channel = new Channel({
  answer: (name, body) => (name === 'echo' ? body : new Promise(() => undefined)),
  hear: () => undefined,
  wire: { send: (frame, written) => void process.send?.(frame, undefined, undefined, written) },
});
process.on('message', (frame) => channel.receive(frame));
