// The part of npm's semver that the router uses; the package has no types of its own.
declare module 'semver' {
  export class Range {
    /** @throws {TypeError} when the text is not a range */
    constructor(text: string)
    test(version: string): boolean
  }
}
