// Reads the elements of an XML part of a DOCX in order, with their usual prefixes, at any depth of nesting.
import { Parser } from 'htmlparser2'
import { usualPrefix } from './docx-names.ts'

export type XmlHandler = {
  readonly open: (name: string, attributes: Readonly<Record<string, string>>) => void
  readonly text?: (text: string) => void
  readonly close?: (name: string) => void
}

/** Knows only the predefined entities of XML. */
export function readXml(xml: Buffer | undefined, { open, text, close }: XmlHandler): void {
  if (xml === undefined) return
  const prefixes = new Map<string, string>()
  const named = (name: string): string => {
    const [prefix, local] = name.includes(':') ? name.split(':', 2) : ['', name]
    const usual = prefixes.get(prefix ?? '')
    return usual === undefined ? name : `${usual}:${local ?? ''}`
  }
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        for (const [key, uri] of Object.entries(attributes)) {
          const usual = key === 'xmlns' || key.startsWith('xmlns:') ? usualPrefix(uri) : undefined
          if (usual !== undefined) prefixes.set(key.slice('xmlns:'.length), usual)
        }
        open(named(name), Object.fromEntries(Object.entries(attributes).map(([key, value]) => [named(key), value])))
      },
      ontext: (found) => text?.(found),
      onclosetag: (name) => close?.(named(name)),
    },
    { xmlMode: true },
  )
  parser.write(xml.toString('utf8').replace(/^\uFEFF/, ''))
  parser.end()
}

export type Relations = ReadonlyMap<string, { readonly target: string; readonly isExternal: boolean }>

/** Reads a .rels part. */
export function readRelations(xml: Buffer | undefined): Relations {
  const relations = new Map<string, { target: string; isExternal: boolean }>()
  readXml(xml, {
    open(name, { Id, Target, TargetMode }) {
      if (/(?:^|:)Relationship$/.test(name) && Id !== undefined && Target !== undefined) {
        relations.set(Id, { target: Target, isExternal: TargetMode === 'External' })
      }
    },
  })
  return relations
}
