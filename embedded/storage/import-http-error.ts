/** The source answered, but not with the image; CDI's importer says it in these words. */
export class ImportHttpError extends Error {
  override readonly name = 'ImportHttpError';

  constructor(statusCode: number, statusText: string) {
    super(`expected status code 200, got ${statusCode}. Status: ${statusCode} ${statusText}`);
  }
}
