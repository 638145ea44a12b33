/** The source answered, but not with the image; in the words of CDI's importer. */
export class ImportHttpError extends Error {
  override readonly name = 'ImportHttpError';

  constructor(statusCode: number, statusText: string) {
    super(`expected status code 200, got ${statusCode}. Status: ${statusCode} ${statusText}`);
  }
}
