/** For tests only: a worker that serves nobody, and does as it is told: also badly. */
import { Channel } from './channel.ts';

let deaf = false;
const channel: Channel = new Channel({
  answer(name, body) {
    if (name === 'begin') {
      if (body === 'refuse') {
        setImmediate(() => void channel.quiet().then(() => process.exit()));
        throw Object.assign(new Error('expected better'), { code: 'spool-locked' });
      }
      if (body === 'die') process.exit(7);
      return `begun ${String(body)}`;
    }
    if (name === 'be-deaf') {
      deaf = true;
      return null;
    }
    if (name === 'spin') for (;;);
    return deaf && name !== 'ping' ? new Promise(() => undefined) : `heard ${String(body)}`;
  },
  hear(name) {
    if (name === 'stop') process.exit();
  },
  wire: { send: (frame, written) => void process.send?.(frame, undefined, undefined, written) },
});
process.on('message', (frame) => channel.receive(frame));
