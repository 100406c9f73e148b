/**
 * What can be wrong with people here, what is measured, and what is prescribed. Diagnoses carry ICD-10-CM codes,
 * measurements LOINC codes; medications come from the hospital's own formulary. Sensitive diagnoses carry the HL7 v3
 * sensitivity code their records are labelled with.
 */
export interface Measure {
  readonly id: string;
  readonly loinc: string;
  readonly display: string;
  readonly unit: string;
  readonly mean: number;
  readonly deviation: number;
  readonly decimals: number;
}

export const vitals: readonly Measure[] = [
  { id: 'heart-rate', loinc: '8867-4', display: 'Heart rate', unit: '/min', mean: 76, deviation: 11, decimals: 0 },
  {
    id: 'temperature',
    loinc: '8310-5',
    display: 'Body temperature',
    unit: 'Cel',
    mean: 36.8,
    deviation: 0.4,
    decimals: 1,
  },
  { id: 'oxygen', loinc: '59408-5', display: 'Oxygen saturation', unit: '%', mean: 97, deviation: 1, decimals: 0 },
  { id: 'weight', loinc: '29463-7', display: 'Body weight', unit: 'kg', mean: 74, deviation: 13, decimals: 1 },
];

export const systolic: Measure = {
  id: 'systolic',
  loinc: '8480-6',
  display: 'Systolic blood pressure',
  unit: 'mm[Hg]',
  mean: 126,
  deviation: 14,
  decimals: 0,
};
export const diastolic: Measure = {
  id: 'diastolic',
  loinc: '8462-4',
  display: 'Diastolic blood pressure',
  unit: 'mm[Hg]',
  mean: 79,
  deviation: 9,
  decimals: 0,
};
export const bloodPressureLoinc = '85354-9';

const labs = {
  hba1c: {
    id: 'hba1c',
    loinc: '4548-4',
    display: 'Hemoglobin A1c/Hemoglobin.total in Blood',
    unit: '%',
    mean: 7.1,
    deviation: 1.1,
    decimals: 1,
  },
  creatinine: {
    id: 'creatinine',
    loinc: '2160-0',
    display: 'Creatinine [Mass/volume] in Serum or Plasma',
    unit: 'mg/dL',
    mean: 1.1,
    deviation: 0.3,
    decimals: 2,
  },
  potassium: {
    id: 'potassium',
    loinc: '2823-3',
    display: 'Potassium [Moles/volume] in Serum or Plasma',
    unit: 'mmol/L',
    mean: 4.2,
    deviation: 0.4,
    decimals: 1,
  },
  glucose: {
    id: 'glucose',
    loinc: '2345-7',
    display: 'Glucose [Mass/volume] in Serum or Plasma',
    unit: 'mg/dL',
    mean: 112,
    deviation: 26,
    decimals: 0,
  },
  hemoglobin: {
    id: 'hemoglobin',
    loinc: '718-7',
    display: 'Hemoglobin [Mass/volume] in Blood',
    unit: 'g/dL',
    mean: 13.4,
    deviation: 1.4,
    decimals: 1,
  },
  leukocytes: {
    id: 'leukocytes',
    loinc: '6690-2',
    display: 'Leukocytes [#/volume] in Blood',
    unit: '10*3/uL',
    mean: 7.8,
    deviation: 2.2,
    decimals: 1,
  },
  ldl: {
    id: 'ldl',
    loinc: '13457-7',
    display: 'Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation',
    unit: 'mg/dL',
    mean: 118,
    deviation: 28,
    decimals: 0,
  },
  hivRna: {
    id: 'hiv-rna',
    loinc: '20447-9',
    display: 'HIV 1 RNA [#/volume] (viral load) in Serum or Plasma',
    unit: '{copies}/mL',
    mean: 40,
    deviation: 6,
    decimals: 0,
  },
} as const satisfies Record<string, Measure>;

export type Sensitivity = 'PSY' | 'HIV' | 'ETH';

export interface Ailment {
  readonly icd10: string;
  readonly display: string;
  /** Chance for somebody of the age range to have it (chronic), or weight among reasons to come (acute). */
  readonly share: number;
  readonly ages: readonly [number, number];
  readonly specialty: string;
  readonly labs: readonly Measure[];
  readonly medication: string | undefined;
  readonly sensitivity?: Sensitivity;
}

export const chronic: readonly Ailment[] = [
  {
    icd10: 'I10',
    display: 'Essential (primary) hypertension',
    share: 0.3,
    ages: [38, 110],
    specialty: 'primary-care',
    labs: [labs.creatinine, labs.potassium],
    medication: 'Lisinopril 10 mg tablet',
  },
  {
    icd10: 'E11.9',
    display: 'Type 2 diabetes mellitus without complications',
    share: 0.13,
    ages: [35, 110],
    specialty: 'primary-care',
    labs: [labs.hba1c, labs.glucose],
    medication: 'Metformin 500 mg tablet',
  },
  {
    icd10: 'E78.5',
    display: 'Hyperlipidemia, unspecified',
    share: 0.2,
    ages: [40, 110],
    specialty: 'primary-care',
    labs: [labs.ldl],
    medication: 'Atorvastatin 20 mg tablet',
  },
  {
    icd10: 'J45.909',
    display: 'Unspecified asthma, uncomplicated',
    share: 0.08,
    ages: [4, 70],
    specialty: 'primary-care',
    labs: [],
    medication: 'Albuterol 90 mcg inhaler',
  },
  {
    icd10: 'I48.91',
    display: 'Unspecified atrial fibrillation',
    share: 0.09,
    ages: [58, 110],
    specialty: 'cardiology',
    labs: [labs.potassium, labs.hemoglobin],
    medication: 'Apixaban 5 mg tablet',
  },
  {
    icd10: 'I50.9',
    display: 'Heart failure, unspecified',
    share: 0.07,
    ages: [60, 110],
    specialty: 'cardiology',
    labs: [labs.creatinine, labs.potassium],
    medication: 'Furosemide 40 mg tablet',
  },
  {
    icd10: 'N18.9',
    display: 'Chronic kidney disease, unspecified',
    share: 0.08,
    ages: [55, 110],
    specialty: 'medicine',
    labs: [labs.creatinine, labs.potassium],
    medication: undefined,
  },
  {
    icd10: 'F32.9',
    display: 'Major depressive disorder, single episode, unspecified',
    share: 0.08,
    ages: [15, 90],
    specialty: 'behavioral-health',
    labs: [],
    medication: 'Sertraline 50 mg tablet',
    sensitivity: 'PSY',
  },
  {
    icd10: 'F10.20',
    display: 'Alcohol dependence, uncomplicated',
    share: 0.03,
    ages: [22, 80],
    specialty: 'behavioral-health',
    labs: [],
    medication: 'Naltrexone 50 mg tablet',
    sensitivity: 'ETH',
  },
  {
    icd10: 'B20',
    display: 'Human immunodeficiency virus [HIV] disease',
    share: 0.012,
    ages: [20, 75],
    specialty: 'medicine',
    labs: [labs.hivRna, labs.leukocytes],
    medication: 'Antiretroviral combination tablet',
    sensitivity: 'HIV',
  },
];

export const acute: readonly Ailment[] = [
  {
    icd10: 'J06.9',
    display: 'Acute upper respiratory infection, unspecified',
    share: 20,
    ages: [0, 110],
    specialty: 'primary-care',
    labs: [],
    medication: undefined,
  },
  {
    icd10: 'M54.50',
    display: 'Low back pain, unspecified',
    share: 12,
    ages: [18, 110],
    specialty: 'primary-care',
    labs: [],
    medication: 'Ibuprofen 400 mg tablet',
  },
  {
    icd10: 'H66.90',
    display: 'Otitis media, unspecified, unspecified ear',
    share: 12,
    ages: [0, 12],
    specialty: 'paediatrics',
    labs: [],
    medication: 'Amoxicillin 250 mg suspension',
  },
  {
    icd10: 'S61.419A',
    display: 'Laceration without foreign body of unspecified hand, initial encounter',
    share: 6,
    ages: [3, 90],
    specialty: 'emergency',
    labs: [],
    medication: undefined,
  },
  {
    icd10: 'R07.9',
    display: 'Chest pain, unspecified',
    share: 7,
    ages: [30, 110],
    specialty: 'emergency',
    labs: [labs.potassium, labs.hemoglobin],
    medication: undefined,
  },
  {
    icd10: 'Z00.00',
    display: 'Encounter for general adult medical examination without abnormal findings',
    share: 16,
    ages: [18, 110],
    specialty: 'primary-care',
    labs: [labs.glucose, labs.ldl],
    medication: undefined,
  },
  {
    icd10: 'Z00.129',
    display: 'Encounter for routine child health examination without abnormal findings',
    share: 26,
    ages: [0, 17],
    specialty: 'paediatrics',
    labs: [],
    medication: undefined,
  },
];

export const admitting: readonly Ailment[] = [
  {
    icd10: 'J18.9',
    display: 'Pneumonia, unspecified organism',
    share: 10,
    ages: [0, 110],
    specialty: 'medicine',
    labs: [labs.leukocytes, labs.creatinine],
    medication: 'Amoxicillin 500 mg capsule',
  },
  {
    icd10: 'K35.80',
    display: 'Unspecified acute appendicitis',
    share: 6,
    ages: [5, 60],
    specialty: 'surgery',
    labs: [labs.leukocytes, labs.hemoglobin],
    medication: 'Acetaminophen 500 mg tablet',
  },
  {
    icd10: 'S72.90XA',
    display: 'Unspecified fracture of unspecified femur, initial encounter for closed fracture',
    share: 5,
    ages: [50, 110],
    specialty: 'surgery',
    labs: [labs.hemoglobin],
    medication: 'Acetaminophen 500 mg tablet',
  },
  {
    icd10: 'I50.9',
    display: 'Heart failure, unspecified',
    share: 6,
    ages: [60, 110],
    specialty: 'medicine',
    labs: [labs.creatinine, labs.potassium],
    medication: 'Furosemide 40 mg tablet',
  },
];

export const systems = {
  loinc: 'http://loinc.org',
  icd10: 'http://hl7.org/fhir/sid/icd-10-cm',
  ucum: 'http://unitsofmeasure.org',
  actCode: 'http://terminology.hl7.org/CodeSystem/v3-ActCode',
  participation: 'http://terminology.hl7.org/CodeSystem/v3-ParticipationType',
  observationCategory: 'http://terminology.hl7.org/CodeSystem/observation-category',
  conditionCategory: 'http://terminology.hl7.org/CodeSystem/condition-category',
  mrn: 'https://hospital.example/ids/mrn',
  staff: 'https://hospital.example/ids/staff',
  visit: 'https://hospital.example/ids/visit',
  formulary: 'https://hospital.example/formulary',
  member: 'https://hospital.example/ids/member',
} as const;

/** The first ailments whose age range covers this age. */
export function fitting(ailments: readonly Ailment[], age: number): readonly Ailment[] {
  return ailments.filter((one) => age >= one.ages[0] && age <= one.ages[1]);
}
