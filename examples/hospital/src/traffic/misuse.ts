/**
 * Misuse, labelled. A scenario is work like any other (one coroutine, one person of the roster) at a pace of its own;
 * what makes it evaluation data is that each of its requests gets a line in the labels. A new scenario is a file beside
 * `bulk-read.ts` and a line in the table below.
 */
import { bulkRead } from './bulk-read.ts';
import type { Scenario } from './scenario.ts';
import { sequentialIds } from './sequential-ids.ts';

export const scenarios: readonly Scenario[] = [bulkRead, sequentialIds];

export const scenarioNames: readonly string[] = scenarios.map((scenario) => scenario.name);
