import type { ClusterView } from '../../../common/contracts/builds.ts';
import { labelText } from '../../../common/contracts/cluster-control.ts';
import { sizeText } from '../../../common/text/size-text.ts';
import { fullStorage } from '../../../common/text/storage-words.ts';
import { useResource } from '../api/use-resource.ts';
import { Meter } from '../parts/meter.tsx';
import { ErrorNotice, Loading } from '../parts/notice.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { StageIcon } from '../parts/stage-mark.tsx';

const REFRESH_MS = 3_000;

/** The clusters: what is used of them, by whom, and who works there. */
export function ClustersPage() {
  const { value, error } = useResource('listClusters', {}, REFRESH_MS);
  return (
    <>
      <PageTitle title="Clusters" />
      <ErrorNotice error={error} />
      {!value && !error && <Loading />}
      <div class="cards">
        {value?.clusters.map((cluster) => (
          <Cluster key={cluster.name} cluster={cluster} />
        ))}
      </div>
    </>
  );
}

function Cluster({ cluster }: { readonly cluster: ClusterView }) {
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
          {sizeText(storage.freeBytes)} free for volumes; no build begins below {sizeText(storage.leastBytes)}
        </p>
      )}
      {Object.keys(labels).length > 0 && <p class="quiet">Labels: {labelText(labels)}</p>}
      <Holders holders={cluster.holders} />
      <Phases {...cluster} />
    </section>
  );
}

function Holders({ holders }: Pick<ClusterView, 'holders'>) {
  return (
    <>
      <h3>Who holds machines</h3>
      {holders.length === 0 && <p class="quiet">None.</p>}
      <ul class="chips">
        {holders.map(({ layerBuild, module, vms }) => (
          <li key={layerBuild} title={`Work ${layerBuild}`}>
            {module || 'unknown'} <span class="quiet">{vms}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Phases({ name, queues, workers }: Pick<ClusterView, 'name' | 'queues' | 'workers'>) {
  return (
    <table class="compact">
      <caption>Queues and workers</caption>
      <thead>
        <tr>
          <th scope="col">Phase</th>
          <th scope="col" class="number">
            Waiting
          </th>
          <th scope="col" class="number">
            Running
          </th>
          <th scope="col" class="number">
            Workers
          </th>
          <th scope="col" class="number">
            Room
          </th>
        </tr>
      </thead>
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
