/** The group of cases about changes between layers. */
import type { Case } from '../suite.js'
import { applyCases } from './changes-apply.js'
import { contentCases } from './changes-content.js'
import { directoryCases } from './changes-directories.js'
import { linkCases } from './changes-links.js'
import { nameCases } from './changes-names.js'
import { specialCases } from './changes-special.js'
import { typeCases } from './changes-types.js'

export const changesCases: readonly Case[] = [
  ...contentCases,
  ...specialCases,
  ...typeCases,
  ...directoryCases,
  ...linkCases,
  ...nameCases,
  ...applyCases,
]
