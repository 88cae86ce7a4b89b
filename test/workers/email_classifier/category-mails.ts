// Mails of every category, written for the tests before the rules were: none of them was trained on.
export type CategoryMail = { readonly category: string; readonly subject: string; readonly body: string }

const mails = (category: string, texts: readonly [subject: string, body: string][]): CategoryMail[] =>
  texts.map(([subject, body]) => ({ category, subject, body }))

export const CATEGORY_MAILS: readonly CategoryMail[] = [
  ...mails('work', [
    [
      'Re: integration tests on the new cluster',
      `Hi Priya,\n\nthanks for looking into this. I talked to the infrastructure team: they can give us two more nodes next week, so the nightly test run should fit. Could you update the ticket and tell the customer that we will deliver on the 14th as planned?\n\nI will be in meetings until three. Let us go through the open points of the release after that.\n\nBest regards,\nOliver`,
    ],
    [
      'Draft agreement with Northwind',
      `Dear team,\n\nplease find attached the second draft of the agreement. Section 5 (liability) is still under discussion with their lawyers. I need comments from finance and engineering before the call with the client on Wednesday.\n\nKind regards\nHelen Park\nHead of Procurement`,
    ],
    [
      'Onboarding of the two interns',
      `Hello Mark,\n\nthe interns start on Monday at nine. Can your department prepare desks and accounts for them? Sofia will be their mentor and has put the schedule for the first two weeks on the team page. HR needs the signed forms by Friday.\n\nRegards, Ines`,
    ],
    [
      'Forecast for the board meeting',
      `Team,\n\nthe board wants to see the revenue forecast by product line. Please send me the figures of your region until Thursday evening, I will merge them into the presentation. If a project slipped, write one sentence about the reason.\n\nJames`,
    ],
  ]),
  ...mails('personal', [
    [
      'Hello from Lisbon!',
      `Hey you two,\n\nwe arrived safely and the kids already love it here. Yesterday we ate so much fish that I could not sleep, haha. Tom says hi and wants to know whether you still have his old guitar.\n\nHow is mum doing? Give her a big hug from me. Will call you on Sunday.\n\nLove,\nClara`,
    ],
    [
      'Saturday',
      `Hi Ben,\n\nare you still up for a barbecue at our place on Saturday? I asked Julia and the neighbours too. You do not need to bring anything, maybe some of your famous potato salad if you feel like it.\n\nThe kids can sleep in the tent in the garden. See you soon!\nRob`,
    ],
    [
      'so sorry to hear',
      `Dear Martha,\n\nI just heard about your father from my sister and I am so sorry. He was such a warm man, I still remember how he taught us to swim in the lake. If you want to talk or just go for a walk, I am here.\n\nA big hug,\nElena`,
    ],
    [
      'Guess who is a grandfather',
      `Dear old friend,\n\nlast night our daughter had a little boy! Eight pounds and a lot of hair. We are so happy and I have not slept at all. You have to come and see him when you are in town. Let us have that beer we have been talking about for years.\n\nYours, Walter`,
    ],
  ]),
  ...mails('newsletter', [
    [
      'The Tinkerer #47: repairing old radios',
      `Welcome to issue 47 of The Tinkerer!\n\nIn this week's edition:\n* How our reader Paul brought a radio from 1951 back to life\n* A tutorial: soldering without tears\n* The editors' choice of articles from around the web\n\nRead the full stories on our website.\n\nYou receive this newsletter because you subscribed at tinkerer.example. Unsubscribe | Change your preferences`,
    ],
    [
      'Your weekly briefing: oceans, elections and a chess prodigy',
      `Good morning, readers.\n\nThe most read story this week was our report on the warming of the Atlantic. Our correspondent explains what the elections mean for the region, and in the long read we meet a nine year old chess prodigy.\n\nListen to the new episode of our podcast. View this email in your browser. To stop getting these emails, unsubscribe here.`,
    ],
    [
      'News from the botanical society, spring edition',
      `Dear members and friends,\n\nthe spring edition of our bulletin is here. Read about the new glasshouse, the results of the orchid survey and an interview with our oldest member. The calendar of lectures and excursions until June is on the last page.\n\nThe editorial team`,
    ],
    [
      'Compiler digest, May',
      `This month in compilers: a new backend lands, two papers about register allocation, and the videos of the spring conference are online.\n\nArticles\n- Why SSA is functional programming\n- A gentle tutorial on parsing expression grammars\n\nYou are subscribed to the Compiler digest. Manage your subscription or read past issues in the archive.`,
    ],
  ]),
  ...mails('promotion', [
    [
      'Anna, 30% off your favourites ends tonight',
      `Hurry! Our midsummer sale ends at midnight. Save 30% on dresses, shirts and sandals with the code SUN30 at checkout, plus free delivery on orders over $40.\n\nSHOP NOW\n\nOffer valid online only, while stocks last. Cannot be combined with other discounts.`,
    ],
    [
      'Your free month of PlayBox Premium',
      `Watch without limits. Start your free trial of PlayBox Premium today and get the first month on us. After that only $7.99, cancel any time.\n\nThousands of films, no ads, four screens. Claim your offer before Sunday.`,
    ],
    [
      'The new autumn collection has arrived',
      `Be the first to discover our new coats, boots and scarves. Members of our loyalty club get 15% off and double points this week.\n\nDiscover the collection and find a store near you.`,
    ],
    [
      'Two pizzas for the price of one',
      `Every Tuesday in October: buy one pizza, get the second one for free! Order in our app and use the coupon TWOFOR1. Deals like this do not last, so order today.`,
    ],
  ]),
  ...mails('receipt', [
    [
      'Your order at Lumen Lamps (no. 55810)',
      `Hello Dana,\n\nthank you for your order. We have received your payment.\n\n1 x Ceiling lamp "Orbit"   $89.00\n2 x LED bulb                $11.80\nShipping                     $4.90\nTotal                      $105.70\n\nPaid with Visa ending in 1123. We will write again as soon as your lamp ships.`,
    ],
    [
      'Receipt #2291-7734',
      `Receipt from Cloudnotes Inc.\n\nAmount paid: $48.00\nDate paid: March 2\nPayment method: Mastercard - 9021\n\nCloudnotes annual plan, qty 1, $48.00. If you have any questions about this charge, contact support.`,
    ],
    [
      'Thanks for riding with us',
      `Here is the receipt of your trip yesterday evening.\n\nTrip fare 11.40\nBooking fee 1.20\nTip 2.00\nTotal charged 14.60 to your card ending 8810.\n\nYour driver was Miguel.`,
    ],
    [
      'Your refund has been issued',
      `We received your return of order 7719 and refunded $39.90 to your original payment method. Depending on your bank it may take up to five days until the amount appears on your statement. Keep this mail as confirmation of the transaction.`,
    ],
  ]),
  ...mails('bill', [
    [
      'Your June statement from Volt Energy',
      `Dear customer,\n\nyour bill for the billing period May 5 to June 4 is ready.\n\nPrevious balance   $0.00\nCurrent charges   $92.33\nAmount due        $92.33\nDue date          June 25\n\nPlease pay by the due date to avoid a late fee. You can pay online or by direct debit.`,
    ],
    [
      'Invoice 2025-031, Carpenter Lind',
      `Dear Ms Farrow,\n\nfor the repair of your staircase I take the liberty of sending you the attached invoice over $780. Please transfer the amount to the account named on it within 14 days.\n\nYours sincerely\nKarl Lind`,
    ],
    [
      'Reminder: payment overdue',
      `We have not received your payment for invoice 8841, which was due on April 2. The outstanding balance is $143.20. Please pay within seven days. If you have paid in the meantime, please disregard this reminder.`,
    ],
    [
      'Your credit card bill is due soon',
      `Your minimum payment of $35.00 is due on August 9. Your statement balance is $1,204.77. Log in to make a payment or to set up automatic payments.`,
    ],
  ]),
  ...mails('notification', [
    [
      'Sign-in from a new device',
      `We noticed a sign-in to your account from a new device.\n\nDevice: Firefox on Linux\nTime: today, 08:12\n\nIf this was you, you do not need to do anything. If not, reset your password now.\n\nThis is an automated message, please do not reply.`,
    ],
    [
      '[warehouse] Job nightly-import failed',
      `The scheduled job nightly-import failed with exit status 2 after 41 seconds.\n\nHost: etl-3\nLog: attached\n\nYou receive this alert because you are an owner of the job. Change your notification settings to stop it.`,
    ],
    [
      'Your parcel arrives tomorrow',
      `Your shipment 00340 is on its way and will be delivered tomorrow between 9:00 and 12:00. Track your parcel or choose another delivery time.`,
    ],
    [
      'Lee invited you to the board "Kitchen"',
      `Lee invited you to collaborate on the board "Kitchen". Accept the invitation to view and comment. You can turn off these emails in your account settings.`,
    ],
  ]),
  ...mails('travel', [
    [
      'Booking confirmation 8HQ2LM: Hamburg - Reykjavik',
      `Thank you for flying with us.\n\nOutbound: 12 May, departure 09:40 Hamburg, arrival 11:10 Reykjavik\nReturn: 19 May, departure 13:00\nPassengers: 2 adults. Baggage: one checked bag each.\n\nOnline check-in opens 24 hours before departure. Please have your passports ready at the gate.`,
    ],
    [
      'Your stay at Pension Seeblick',
      `Dear Mr Okafor,\n\nwe confirm your reservation of a double room with a lake view from 3 to 7 September, breakfast included. Check-in is possible from 2 pm, check-out until 11 am. From the railway station it is a ten minute walk.\n\nWe look forward to your visit.`,
    ],
    [
      'Change to your train journey',
      `The train IC 512 from Basel to Cologne does not run on 4 March. We have moved your seat reservation to the next connection: departure 12:13 from platform 5, coach 12, seat 47. Your ticket stays valid.`,
    ],
    [
      'Ready for takeoff? Check in now',
      `Your flight to Palermo leaves tomorrow at 06:55 from terminal 1. Check in now, choose your seats and download your boarding pass to your phone. Bag drop closes 45 minutes before departure.`,
    ],
  ]),
  ...mails('discussion', [
    [
      'Re: [beekeepers] mites again',
      `On Monday Frank wrote:\n> I lost two colonies to mites this winter, and I treated both.\n\nSame here. I do not think the strips work any more, at least not in our region. Has anybody on the list tried oxalic acid in December? There was a thread about it last year but I cannot find it in the archives.\n\nHarald`,
    ],
    [
      'segfault in 3.1 with an empty config file',
      `Hi,\n\nsince the upgrade to 3.1 the daemon crashes at once when the config file is empty. It works with 3.0. Backtrace is below, I compiled it with gcc on Debian. Is this a known bug or am I doing something wrong?\n\n#0 parse_line (conf.c:112)`,
    ],
    [
      'Re: tubes versus transistors',
      `I do not buy that. Every blind test I know of says that people cannot tell the difference, and the article you cite is thirty years old. But if you like the glow, fine, I will not take it away from you :-)`,
    ],
    [
      '[trains] photos of the old signal box?',
      `Does anyone here have photos of the signal box at Mallow before it was torn down? I am building a model of the station for our club and the plans I found do not agree with each other.`,
    ],
  ]),
]
