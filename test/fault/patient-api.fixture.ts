/** For tests only, run as a process of its own so that it can be frozen and killed: an API that answers reads with a patient and searches with many, and says a line for each. */
import { createServer } from 'node:http';

const many = Array.from({ length: 500 }, (_, n) => ({
  resource: { resourceType: 'Observation', id: `o-${n}`, subject: { reference: `Patient/patient-${n}` } },
}));

createServer((request, response) => {
  process.stdout.write(`${request.method}\n`);
  const answer = request.url?.includes('?')
    ? { resourceType: 'Bundle', type: 'searchset', entry: many }
    : { resourceType: 'Patient', id: '1' };
  const body = JSON.stringify(answer);
  const headers = { 'content-type': 'application/fhir+json', 'content-length': Buffer.byteLength(body) };
  response.writeHead(200, headers).end(body);
}).listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('listens\n'));
