/** One measured thing. Ratios compare two things of the same run; nothing here is an absolute promise. */
export interface Measurement {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly target: string;
}
