/** The whole suite, in the order that it runs. */
import type { Case } from '../suite.js'
import { driverCases } from './driver.js'

export const CASES: readonly Case[] = [...driverCases]
