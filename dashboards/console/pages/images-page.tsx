import { addressOf } from '../../../common/contracts/api/request.ts';
import type { ImageView } from '../../../common/contracts/images.ts';
import { onDiskText, sizeText } from '../../../common/text/size-text.ts';
import { useResource } from '../api/use-resource.ts';
import { Age } from '../parts/age.tsx';
import { ExportDisk } from '../parts/export-disk.tsx';
import { ImportImage } from '../parts/import-image.tsx';
import { ErrorNotice, Loading } from '../parts/notice.tsx';
import { PageTitle } from '../parts/page-title.tsx';
import { Pager, pageQuery } from '../parts/pager.tsx';
import { PruneImages } from '../parts/prune-images.tsx';
import { PushDisk } from '../parts/push-disk.tsx';
import { RemoveImage } from '../parts/remove-image.tsx';
import { RunImage } from '../parts/run-image.tsx';
import { TableHead } from '../parts/table-head.tsx';
import { TagImage } from '../parts/tag-image.tsx';

const REFRESH_MS = 20_000;

interface ImagesPageProps {
  readonly query: URLSearchParams;
  readonly mayBuild: boolean;
  readonly mayPrune: boolean;
}

/** The finished layers, newest first. */
export function ImagesPage({ query, mayBuild, mayPrune }: ImagesPageProps) {
  const { value, error, reload } = useResource('listImages', { query: pageQuery(query) }, REFRESH_MS);
  return (
    <>
      <PageTitle title="Images" />
      {mayBuild && <ImportImage />}
      {mayPrune && <PruneImages onChange={reload} />}
      <ErrorNotice error={error} />
      {!value && !error && <Loading />}
      {value?.images.length === 0 && <p class="empty">No images yet: every module that is built becomes one.</p>}
      {value && value.images.length > 0 && <ImageTable images={value.images} mayBuild={mayBuild} onChange={reload} />}
      {value && <Pager path="/images" isFirst={!query.has('cursor')} nextCursor={value.nextCursor} />}
    </>
  );
}

interface ImageTableProps {
  readonly images: readonly ImageView[];
  readonly mayBuild: boolean;
  onChange(): void;
}

function ImageTable({ images, mayBuild, onChange }: ImageTableProps) {
  return (
    <table class="list">
      <TableHead columns={['Image', 'Machines and their disks', 'Cluster', 'Layer', 'Age']} />
      <tbody>
        {images.map((image) => (
          <ImageRow key={`${image.module}:${image.version}`} image={image} mayBuild={mayBuild} onChange={onChange} />
        ))}
      </tbody>
    </table>
  );
}

interface ImageRowProps extends Omit<ImageTableProps, 'images'> {
  readonly image: ImageView;
}

function ImageRow({ image, mayBuild, onChange }: ImageRowProps) {
  const { module, version, by, cluster, namespace, layerKey, createdAt } = image;
  return (
    <tr>
      <td class="nowrap">
        <ImageName image={image} />
      </td>
      <td class="wide">
        <ImageMachines image={image} mayBuild={mayBuild} />
      </td>
      <td class="nowrap">
        {cluster} <span class="quiet">{namespace}</span>
      </td>
      <td>
        <code title={layerKey}>{layerKey.slice(0, 12)}</code>
        {image.usedBytes !== null && <div class="quiet nowrap">on disk {onDiskText(image)}</div>}
      </td>
      <td class="nowrap">
        <Age at={Date.parse(createdAt)} />
        {by && <div class="quiet">by {by}</div>}
        {mayBuild && (
          <div class="actions">
            <a
              href={addressOf('readProvenance', { params: { image: `${module}:${version}` } })}
              download={`${module}-${version}.intoto.json`}
              aria-label={`Provenance of ${module}:${version}`}
            >
              Provenance
            </a>
            <RunImage image={`${module}:${version}`} />
            <TagImage module={module} version={version} onChange={onChange} />
            <RemoveImage module={module} version={version} onChange={onChange} />
          </div>
        )}
      </td>
    </tr>
  );
}

/** Name and version, tags, and the images below and above it. */
function ImageName({ image: { module, version, current, tags, basedOn, children } }: Pick<ImageRowProps, 'image'>) {
  return (
    <>
      <strong>{module}</strong>
      <span class="quiet">:{version}</span>
      {current && <div class="quiet">current</div>}
      {tags.map((tag) => (
        <div key={tag}>
          <code>@{tag}</code>
        </div>
      ))}
      {basedOn.map((parent) => (
        <div key={`${parent.module}:${parent.version}`} class="quiet">
          on {parent.module}:{parent.version}
          {!parent.current && ', which is older'}
        </div>
      ))}
      {children.length > 0 && (
        <div class="quiet">under {children.map((child) => `${child.module}:${child.version}`).join(', ')}</div>
      )}
    </>
  );
}

/** The machines of an image with their disks. */
function ImageMachines({ image: { module, version, vms }, mayBuild }: Omit<ImageRowProps, 'onChange'>) {
  return vms.map(({ vm, template, firmware, disks }) => (
    <div key={vm} class="machine">
      <div>
        <strong>{vm}</strong> <span class="quiet">{firmware}</span>
      </div>
      <ul>
        {disks.map((disk) => (
          <li key={disk.name}>
            <div class="actions">
              <span>
                {disk.name} {sizeText(disk.sizeBytes)} <span class="quiet">{disk.bus}</span>
              </span>
              {mayBuild && <ExportDisk image={`${module}:${version}`} vm={vm} disk={disk.name} />}
              {mayBuild && <PushDisk image={`${module}:${version}`} vm={vm} disk={disk.name} />}
            </div>
            <div class="quiet object">
              snapshot <code>{disk.snapshot}</code>
            </div>
          </li>
        ))}
      </ul>
      <div class="quiet object">
        template <code>{template}</code>
      </div>
    </div>
  ));
}
