import type { ClusterView } from '../../../common/contracts/builds.ts';
import { labelText } from '../../../common/contracts/cluster-control.ts';
import { fullStorage } from '../../../common/contracts/full-storage.ts';
import type { ClusterStorage } from '../../../common/contracts/storage.ts';
import { sizeText } from '../../../common/text/size-text.ts';
import { useResource } from '../api/use-resource.ts';
import { Meter } from '../parts/meter.tsx';
import { ErrorNotice, Loading } from '../parts/notice.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { StageIcon } from '../parts/stage-mark.tsx';
import { TableHead } from '../parts/table-head.tsx';

const REFRESH_MS = 3_000;
/** Clusters list all of their volumes for it. */
const STORAGE_REFRESH_MS = 30_000;

/** The clusters with their usage, the holders of slots and the workers. */
export function ClustersPage() {
  const { value, error } = useResource('listClusters', {}, REFRESH_MS);
  const { value: storage, error: storageError } = useResource('readStorage', {}, STORAGE_REFRESH_MS);
  return (
    <>
      <PageTitle title="Clusters" />
      <ErrorNotice error={error ?? storageError} />
      {!value && !error && <Loading />}
      <div class="cards">
        {value?.clusters.map((cluster) => (
          <Cluster
            key={cluster.name}
            cluster={cluster}
            use={storage?.clusters.find((each) => each.cluster === cluster.name)}
          />
        ))}
      </div>
      {storage && (
        <p class="quiet below">
          Records, events and logs in Redis: {sizeText(storage.records.usedBytes)} of{' '}
          {sizeText(storage.records.limitBytes)}
        </p>
      )}
    </>
  );
}

interface ClusterProps {
  readonly cluster: ClusterView;
  /** Undefined while it is not known. */
  readonly use: ClusterStorage | undefined;
}

function Cluster({ cluster, use }: ClusterProps) {
  const { name, healthy, message, mode, changed, labels, limits, inUse, storage } = cluster;
  const full = fullStorage(storage);
  return (
    <section class="card" aria-labelledby={`cluster-${name}`}>
      <div class="card-title">
        <h2 id={`cluster-${name}`}>{name}</h2>
        <span class={`mark tone-${healthy ? 'good' : 'bad'}`}>
          <StageIcon stage={healthy ? 'succeeded' : 'failed'} /> {healthy ? 'healthy' : 'in trouble'}
        </span>
      </div>
      {message !== null && <p class="notice bad">{message}</p>}
      {mode !== 'open' && <p class="notice">{`This cluster is ${mode}, by ${changed?.by}.`}</p>}
      {full !== null && <p class="notice bad">{`This cluster takes no builds: ${full}.`}</p>}
      <Meter name="Machines" used={inUse.vms} limit={limits.vms} />
      <Meter name="Cores" used={inUse.cpu} limit={limits.cpu} />
      <Meter name="Memory" used={inUse.memoryBytes} limit={limits.memoryBytes} format={sizeText} />
      <Meter name="Imports" used={inUse.imports} limit={limits.imports} />
      {storage !== null && (
        <p class="quiet">
          {sizeText(storage.freeBytes)} free for volumes; a build needs {sizeText(storage.leastBytes)} to start
        </p>
      )}
      {Object.keys(labels).length > 0 && <p class="quiet">Labels: {labelText(labels)}</p>}
      {use && <DiskUse {...use} />}
      <Holders holders={cluster.holders} />
      <Phases {...cluster} />
    </section>
  );
}

/** The output of `slipway df` for a cluster. */
function DiskUse({ error, images, sources, working, failed }: ClusterStorage) {
  if (error !== null) return <p class="notice">{`The storage in use by the farm is unknown: ${error}`}</p>;
  const rows = { Images: images, Sources: sources, 'Builds and clones': working, 'Failed builds': failed };
  return (
    <table class="compact">
      <caption>Disk use</caption>
      <TableHead columns={['Content', 'Volumes', 'Size']} isUnseen />
      <tbody>
        {Object.entries(rows).map(([name, { count, bytes }]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td class="number">{count}</td>
            <td class="number">{sizeText(bytes)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Holders({ holders }: Pick<ClusterView, 'holders'>) {
  return (
    <>
      <h3>Machines in use by</h3>
      {holders.length === 0 && <p class="quiet">None.</p>}
      <ul class="chips">
        {holders.map(({ layerBuild, module, vms }) => (
          <li key={layerBuild} title={`Layer build ${layerBuild}`}>
            {module || 'unknown'} <span class="quiet">{vms}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Of a phase. */
const NUMBERS = ['Waiting', 'Running', 'Workers', 'Room'];

function Phases({ name, queues, workers }: Pick<ClusterView, 'name' | 'queues' | 'workers'>) {
  return (
    <table class="compact">
      <caption>Queues and workers</caption>
      <TableHead columns={['Phase', ...NUMBERS]} numbers={NUMBERS} />
      <tbody>
        {queues.map(({ phase, waiting, active }) => {
          const present = workers.find((worker) => worker.phase === phase);
          const isUnserved = (present?.processes ?? 0) === 0;
          return (
            <tr key={phase}>
              <th scope="row">
                <a href={`/queues/queue/${phase}--${name}`}>{phase}</a>
              </th>
              <td class="number">{waiting}</td>
              <td class="number">{active}</td>
              <td class={`number ${isUnserved ? 'tone-bad' : ''}`}>{isUnserved ? 'none' : present?.processes}</td>
              <td class="number">{present?.capacity ?? 0}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
