/** Where the hospital's work happens: wards with beds, clinics with appointments, the emergency room, and two offices. */
export type DepartmentKind = 'ward' | 'clinic' | 'emergency' | 'office';

export interface Department {
  readonly id: string;
  readonly name: string;
  readonly kind: DepartmentKind;
}

export const departments: readonly Department[] = [
  { id: 'primary-care', name: 'Primary Care', kind: 'clinic' },
  { id: 'emergency', name: 'Emergency', kind: 'emergency' },
  { id: 'medicine', name: 'Medicine', kind: 'ward' },
  { id: 'surgery', name: 'Surgery', kind: 'ward' },
  { id: 'paediatrics', name: 'Paediatrics', kind: 'ward' },
  { id: 'cardiology', name: 'Cardiology', kind: 'clinic' },
  { id: 'behavioral-health', name: 'Behavioral Health', kind: 'clinic' },
  { id: 'billing-office', name: 'Billing Office', kind: 'office' },
  { id: 'front-desk', name: 'Front Desk', kind: 'office' },
];

/** The reference to a department's Location. */
export function locationOf(department: string): string {
  return `Location/wg-loc-${department}`;
}

export const hospitalReference = 'Organization/wg-org-larkhaven';
