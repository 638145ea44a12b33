/** A value of a label that is known when the process starts, by label. */
type LabelSet = Readonly<Record<string, string>>;

/** What is known of a metric before it is measured. */
export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly help: string;
  /** Which processes touch it. */
  readonly of: readonly ('scheduler' | 'worker')[];
  /** The values of each label; null where the configuration or a cluster decides. None is ever an id. */
  readonly labels: Readonly<Record<string, readonly string[] | null>>;
  /** Which combinations exist, where not all of them do. */
  readonly series?: readonly LabelSet[];
  readonly buckets?: readonly number[];
}
