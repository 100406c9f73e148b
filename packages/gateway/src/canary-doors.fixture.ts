/** For tests only: what is said at which door of a gateway, and the policy and map that open all of them. */
export const canaries = {
  exportQuery: 'Montefiore',
  exportStatus: 'Castellanos',
  exportFile: 'Kowalczyk',
  exportElsewhere: 'Bjornsdottir',
  storeError: 'Achterberg',
  mapPath: 'Quisling',
  mapQuery: 'Lindqvist',
  mapBody: 'Papageorgiou',
  mapAnswer: 'Okafor',
  pageQuery: 'Villanueva',
  pageLink: 'Throckmorton',
  pageChanged: 'Hernadi',
  largeBundle: 'Vukovic',
  lateLink: 'Ostrowski',
  form: 'Umbridge',
  batchUrl: 'Featherstone',
  batchBody: 'Nakagawa',
  batchCondition: 'Rosenkranz',
  batchAnswer: 'Iannucci',
  condition: 'Dubrovsky',
  existing: 'Steinhauer',
  postOnly: 'Castlebrook',
  limited: 'Pemberton',
  large: 'Zubkov',
  glassReason: 'Winterbottom',
  glassPatient: 'Halvorsen',
  consent: 'Mascarenhas',
  consentError: 'Tchaikovsky',
  purpose: 'Greenleaf',
  proof: 'Abernathy',
  logout: 'Ravensworth',
  frontTarget: 'Blackwood',
  frontHeader: 'Silverstone',
  frontLog: 'Marchetti',
  spop: 'Goldsborough',
  malformed: 'Fairweather',
  queryName: 'Wojciechowski',
  chainName: 'Lagerkvist',
  formName: 'Balakrishnan',
  batchName: 'Mukherjee',
  mapName: 'Sepulveda',
  frontName: 'Arkwright',
  headerName: 'Yamashiro',
  operationName: 'Oppenheimer',
  batchOperation: 'Szymanski',
  frontOperation: 'Grigoryan',
  frontMethod: 'Prendergast',
  upstreamError: 'Delacroix',
} as const;

export const policy = (consentUrl: string): string => `
version: 1
purposeOfUse: {header: X-Purpose-Of-Use, allow: [TREAT, BTG]}
consent: {url: '${consentUrl}', patientsMax: 500, onFailure: allow-and-flag}
breakGlass: {reasons: [emergency], overridesConsent: true}
roles:
  physician:
    allow:
      - {interactions: [read, search, history, create, update, patch, delete], types: ['*']}
      - {operations: [$export, $everything, $merge], types: ['*']}
      - {interactions: [batch, capabilities]}
  nurse:
    allow:
      - {interactions: [read], types: [Appointment]}
    breakGlass:
      - {interactions: [read, search], types: ['*']}
`;

export const map = `
version: 1
routes:
  GET /patients/{id}: {type: Patient, patient: path id}
  GET /visits: {type: Encounter, patient: ["query who", "response $.visits[*].who"], count: "$.visits[*]"}
  POST /visits: {type: Encounter, patient: request $.who}
`;
