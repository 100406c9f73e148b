/** The one door to the simulated world, for tests only: a disk that can fail and lose power, a clock that is told the time, numbers from a seed. */
export { SimClock } from './sim-clock.ts';
export { SimDisk, type SimFault, type SimMishap, type SimMisread, type SimProcess } from './sim-disk.ts';
export { SimRandom } from './sim-random.ts';
