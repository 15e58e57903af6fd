/** The group of cases about tars that are applied and packed. */
import type { Case } from '../suite.js'
import { hostileCases } from './tar-hostile.js'
import { linkTarCases } from './tar-links.js'
import { oddTarCases } from './tar-odd.js'
import { packedCases } from './tar-packed.js'
import { parentCases } from './tar-parents.js'
import { whiteoutTarCases } from './tar-whiteouts.js'

export const tarCases: readonly Case[] = [
  ...whiteoutTarCases,
  ...linkTarCases,
  ...oddTarCases,
  ...packedCases,
  ...parentCases,
  ...hostileCases,
]
