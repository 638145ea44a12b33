/** What the readers did not bear when the fuzzer showed it to them: the target, what was wrong, and the input. */
export const FOUND: readonly (readonly [target: string, wrong: string, input: unknown])[] = [
  [
    'validate',
    'a place below the last line of the file',
    {
      texts: [
        'name: m\nvms:\n  - name: a\n    source: { blank: true }\n    cloudInit:\n      userData: |\n        #cloud-config\n        packages: [a\n',
      ],
      variables: {},
      strict: false,
    },
  ],
  [
    'user-data',
    'a trace of the stack for each of many complaints',
    { text: `: packages: [a]${'{'.repeat(25_000)}`, hasSteps: false },
  ],
  [
    'validate',
    'a number that is none, called a number without a unit',
    {
      texts: ['name: m\ntimeout: .nan\nretries: .inf\nvms: [{ name: a, source: { blank: true } }]\n'],
      variables: {},
      strict: false,
    },
  ],
  [
    'images',
    'a directory of 128 MiB, read whole',
    {
      seed: 'vmdk',
      edits: [
        [12, Buffer.from('0000000004000000', 'hex')],
        [44, Buffer.from('10000000', 'hex')],
      ],
      lengthBytes: 2 ** 53,
      hasRanges: true,
      filling: 1,
    },
  ],
  [
    'images',
    'a first-level table of 32 MiB, read whole',
    {
      seed: 'qcow2 v2',
      edits: [
        [20, Buffer.from('00000009', 'hex')],
        [24, Buffer.from('0000002000000000', 'hex')],
        [36, Buffer.from('00400000', 'hex')],
      ],
      lengthBytes: 2 ** 63,
      hasRanges: true,
      filling: 0x7f,
    },
  ],
  ['user-data', 'lines that were not counted', { text: '"a" b\n\tc\n\td\n', hasSteps: false }],
];
