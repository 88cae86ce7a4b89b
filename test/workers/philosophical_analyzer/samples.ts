// Texts written for these tests.

/** About places, by somebody who was there. */
export const LIVED = `When I was nine my grandmother moved the kitchen table to the window, and the same meal became a different meal in
that place. I noticed it before I had words for it. I thought the room was only where things happen, but the room itself was
saying something: who sat near the light, who sat near the door. Years later we built an office and I put everyone on one
corridor. I was wrong. People at the edge stopped talking. Meaning lives in the distance between two chairs, and context
matters more than the plan I drew. I still remember the smell of that kitchen, and I am not sure I have understood it yet.`

/** On the same subject, by somebody who fills the page. */
export const PERFORMED = `In today's fast-paced world, it is important to note that spatial discourse is not just a paradigm, but
a rich tapestry of multifaceted frameworks. This paper delves into the ontological landscape and underscores the pivotal role
of holistic synergies. Furthermore, the theoretical framework illuminates how stakeholders leverage cutting-edge, seamless
journeys. Moreover, it is crucial to foster a sense of empowerment in the realm of ever-evolving context. In conclusion, the
notion of place stands as a testament to transformative journeys and profound, actionable nuance.`

/** One text for each marker. */
export const BY_MARKER: Record<string, string> = {
  SHM: `The same sentence is another sentence in a different room. Context is everything here: what a word means depends on where
it is said, on the surroundings, on the boundary between two places and the negative space around them.`,
  TUD: `The future is already here, it is just unevenly distributed. Some live years ahead while others are still waiting for
yesterday to arrive, and the lag between them sets the rhythm. Too early and too late are different speeds of one thing.`,
  IIP: `There is no one person here: many selves take turns, and who I am depends on the room. Identity is plural, one name for
several voices, and the masks we wear at work are not less me than the former self I meet at home.`,
  AID: `No one is in charge of the market square. Agency is distributed over many hands, tools that decide, habits that shape us;
the order is emergent, self-organised, a feedback loop in which everyone decides and nobody plans.`,
  DHG: `Data has gravity. What is gathered attracts more of it, records accumulate around the archive, and soon moving the data
costs more than moving the people: compute follows data, and the weight of what is stored becomes a moat.`,
}

export const NEUTRAL = `Preheat to 200 degrees. Whisk two eggs with sugar and butter, fold in flour and a pinch of salt, pour the batter
into a tin and bake for forty minutes. Serve with cream and strawberries on a large plate.`

export const GERMAN = `Der Raum hat eine Bedeutung, und wer darin wohnt, der weiß das schon lange. Als ich ein Kind war, stand der Tisch am
Fenster, und alles war anders als heute. Die Zukunft ist längst da, sie ist nur ungleich verteilt zwischen uns allen.`
