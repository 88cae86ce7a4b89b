// Mails of today that nobody was trained on: good ones such as every inbox holds, and spam. Written apart from the training
// lines, with the furniture that real ones have: footers, links, addresses, prices.
import type { MailText } from '../../../src/workers/email_classifier/mail.ts'

const mail = (subject: string, body: string): MailText => ({ subject, body })

export const GOOD_MAILS: readonly MailText[] = [
  mail(
    'Thanks for your purchase! Receipt #1043-5512',
    `Hi Jennifer,\n\nThanks for shopping at Northside Outfitters! Here's a summary of your purchase.\n\nReceipt #1043-5512\nMay 14, 2026\n\nTrail Jacket (M, Navy)     $129.00\nWool Socks x 2              $28.00\nSubtotal                   $157.00\nSales tax                   $12.95\nTotal                      $169.95\n\nPaid with Visa ending in 4021\n\nNeed help? Visit https://help.northside.example or reply to this email. Returns are free within 60 days.\n\nNorthside Outfitters, 12 Pine Street, Portland, OR 97204`,
  ),
  mail(
    'Invoice 20260388 from Hartmann Consulting GmbH',
    `Dear Ms. Albright,\n\nPlease find enclosed our invoice no. 20260388 for consulting services rendered in April 2026 in the amount of EUR 4,760.00 (incl. 19% VAT).\n\nKindly transfer the total amount within 14 days to the account given below, quoting the invoice number.\n\nIBAN DE02 1203 0000 0000 2020 51\n\nShould you have any questions, please do not hesitate to contact us.\n\nWith kind regards,\nSabine Hartmann`,
  ),
  mail(
    'Shipped: "Stainless steel kettle, 1.7 l"',
    `Hello Robert,\n\nYour package is on the way!\n\nArriving: Friday, June 5\nShip to: Robert, SPRINGFIELD\nOrder # 114-2290317-55021\n\nTrack package: https://www.shop.example/track?id=55021\n\nShipment total: $34.99\n\nWe hope to see you again soon. Unless otherwise noted, items sold by the shop are subject to sales tax in select states. This email was sent from a notification-only address that cannot accept incoming email. Please do not reply to this message.`,
  ),
  mail(
    'Welcome to Plannr, Anna! Let’s get you set up',
    `Welcome, Anna!\n\nWe're so excited to have you here. Plannr helps over 2 million people organize their work.\n\n3 easy steps to get started:\n1. Create your first project\n2. Invite your teammates for free\n3. Download the mobile app\n\nGet started now: https://app.plannr.example/start\n\nHappy planning!\nThe Plannr Team\n\nYou're receiving this email because you signed up for a Plannr account. Unsubscribe | Privacy policy`,
  ),
  mail(
    'Offer of employment – Senior Product Designer',
    `Dear Michael,\n\nCongratulations! On behalf of Lumen Health, I am very pleased to offer you the position of Senior Product Designer, reporting to Karen Wu. Your annual base salary will be $138,000, and you will be eligible for an annual bonus of up to 10%, medical, dental and vision insurance, and 401(k) matching.\n\nYour start date would be July 6. To accept this offer, please sign the attached letter by June 12.\n\nIf you have any questions, call me at any time. We look forward to having you on the team!\n\nBest,\nDana Morris\nTalent Acquisition`,
  ),
  mail(
    'Reminder: you have an appointment on 06/18',
    `Dear Patient,\n\nThis is a friendly reminder that you have an upcoming appointment with Riverside Family Medicine.\n\nProvider: Susan Lee, MD\nDate: Thursday, June 18\nTime: 2:15 PM\nLocation: 400 Riverside Drive, Suite 210\n\nPlease arrive 15 minutes early and bring your insurance card and photo ID. If you are unable to keep your appointment, call us at least 24 hours in advance at (555) 010-4477 to avoid a $40 no-show fee.\n\nReply C to confirm.`,
  ),
  mail(
    'Action required: sign your mortgage documents',
    `Hello Carlos and Maria,\n\nGood news — your loan has been approved and your closing disclosure is ready for your review and electronic signature.\n\nLoan amount: $312,500\nInterest rate: 5.875% fixed, 30 years\nEstimated monthly payment: $1,848.53\nEstimated cash to close: $21,904.11\n\nPlease log in to the borrower portal and sign the documents no later than Monday so that we can close on time on June 22. Before wiring any funds, call us on a number you know.\n\nThank you,\nHeather Boyd\nSenior Loan Officer, NMLS #204431`,
  ),
  mail(
    'Your statement is ready',
    `Your May statement for account ending in 7735 is now available online.\n\nNew balance: $1,204.66\nMinimum payment due: $40.00\nPayment due date: 06/24/2026\n\nView your statement or make a payment by signing in to your account. You can also set up AutoPay so that you never miss a payment.\n\nTo help protect you from fraud, we will never ask for your password in an email.`,
  ),
  mail(
    'Your trip to Barcelona is coming up',
    `Hi Fiona,\n\nYour trip to Barcelona starts in 3 days!\n\nFlight BA 478\nLondon Heathrow (T5) 07:10 – Barcelona (T1) 10:20\nBooking reference: 7TLQ9M\n\nOnline check-in is open. Save time at the airport: check in and get your boarding pass on your phone.\n\nDon't forget to add a bag from £28 or choose your seat.\n\nHave a great trip!`,
  ),
  mail(
    'Your order from Golden Dragon is confirmed',
    `Thanks for ordering, Pete!\n\nGolden Dragon is preparing your food. Estimated delivery: 7:35 - 7:45 PM\n\n1 x Kung Pao Chicken  $13.50\n1 x Vegetable Fried Rice  $10.95\n2 x Spring Rolls  $7.00\n\nSubtotal $31.45\nDelivery fee $2.99\nService fee $3.15\nDasher tip $5.00\nTotal $42.59\n\nCharged to American Express ••• 1006`,
  ),
  mail(
    '[acme/payments] Run failed: CI - main (9f2c1aa)',
    `CI: Some jobs were not successful\n\nview run: https://git.example/acme/payments/actions/runs/881\n\nunit-tests: Failed in 4 minutes and 12 seconds\nlint: Succeeded in 41 seconds\n\nYou are receiving this because you are subscribed to this thread. Manage your notifications.`,
  ),
  mail(
    'Security alert: new sign-in on Windows',
    `A new sign-in on Windows\n\nanna.k@mail.example\n\nWe noticed a new sign-in to your account on a Windows device. If this was you, you don't need to do anything. If not, we'll help you secure your account.\n\nCheck activity\n\nYou can also see security activity at https://accounts.mail.example/notifications`,
  ),
  mail(
    'Your free trial is ending soon',
    `Hi there,\n\nJust a heads up: your 30-day free trial of Streamly Premium ends on June 30. After that, your subscription will automatically renew at $9.99 per month, charged to the card on file.\n\nIf you're enjoying it, there's nothing you need to do. To cancel, go to your account settings at any time before your trial ends — no questions asked.\n\nEnjoy the show,\nStreamly`,
  ),
  mail(
    'Q2 town hall: calendar invite and questions',
    `Hi everyone,\n\nour Q2 town hall takes place next Wednesday at 4 pm in the big conference room, and on video for everybody who works from home. Claire will present the numbers, then we have half an hour for your questions. Please send them to me until Tuesday, anonymously if you like.\n\nThere will be pizza.\n\nBest,\nSophie`,
  ),
  mail(
    'Your Airbnb-style reservation at Casa Verde is confirmed',
    `You're going to Lisbon!\n\nCasa Verde, entire apartment hosted by Tiago\nCheck-in Friday, July 10, 3:00 PM\nCheckout Monday, July 13, 11:00 AM\n2 guests\n\nTotal (EUR): €412.00. Free cancellation before July 5.\n\nTiago will send you the code for the door on the day of arrival. View the full itinerary for the house rules and the address.`,
  ),
  mail(
    'Prescription ready at pharmacy',
    `Hi GEORGE,\n\nYour prescription(s) ending in 4471 is ready for pickup at 2200 Main St. Your total is $12.40. Pickup by June 21.\n\nStore hours: Mon-Fri 8am-9pm, Sat 9am-6pm. Pharmacy closes for lunch 1:30pm-2pm.\n\nTo stop receiving prescription emails, update your preferences online.`,
  ),
  mail(
    'Your donation makes a difference',
    `Dear Helen,\n\nThank you so much for your generous gift of $75.00 to the Mountain Rescue Fund. Because of donors like you, our volunteers could answer 312 calls last year.\n\nThis letter is your official receipt for tax purposes. No goods or services were provided in exchange for this contribution. EIN 00-0000000.\n\nWith gratitude,\nRuth Allen, Treasurer`,
  ),
  mail(
    'We received your application',
    `Dear Priyanka,\n\nThank you for your interest in joining our team! We have received your application for Warehouse Shift Lead (Req. 20931) and our recruiters are reviewing it. If your profile matches our requirements, we will contact you within 10 business days to schedule a phone interview.\n\nYou can check the status of your application in your candidate profile.\n\nPlease do not reply to this automated message.`,
  ),
  mail(
    'School lunch account low balance',
    `Dear parent or guardian,\n\nthe lunch account of your child (ID 30882) has a balance of $3.25. To add money, log in to the parent portal or send a check with your child. Free and reduced price meal applications are available in the office.\n\nThank you,\nLincoln Elementary School Nutrition Services`,
  ),
  mail(
    'Your policy renewal',
    `Dear Mr Thompson,\n\nYour car insurance policy MTR-55120 is due for renewal on 1 August. Your new annual premium is £486.20, or 12 monthly payments of £43.10.\n\nYou don't need to do anything: we will renew your policy automatically with the card details that we hold. If any of your details have changed, or you don't wish to renew, call us free on 0800 000 0000 before 25 July.`,
  ),
]

export const SPAM_MAILS: readonly MailText[] = [
  mail(
    'Re: your unclaimed package #US-99213',
    `ATTENTION! You have (1) unclaimed package waiting for delivery. Confirm your address and pay the $2.95 shipping fee NOW to receive your FREE gift. This offer expires today!!!\n\nhttp://claim-prize.example/go\n\nClick here to unsubscribe`,
  ),
  mail(
    'CONGRATULATIONS!!! You are our lucky winner',
    `Dear Sir/Madam,\n\nYour email has won the sum of $1,500,000.00 (One Million Five Hundred Thousand United States Dollars) in the annual online lottery. To claim your winnings send your full names, address, telephone number and occupation to our claims agent immediately. Keep this confidential until your money is transferred.`,
  ),
  mail(
    'Make money online - guaranteed!',
    `Are you tired of your boss? Would you like to earn up to $10,000 every month working from home? My FREE system shows you how ordinary people make money on the internet with no experience. Order today, this offer is limited! 100% money back guarantee. Click here now!`,
  ),
  mail(
    'Lowest prices on all medications',
    `Buy Viagra, Cialis and Valium online without prescription! Save up to 80% compared with your local pharmacy. Discreet worldwide shipping. No doctor visit required. Order now and get 10 free pills: http://pills.example/buy`,
  ),
  mail(
    'Urgent business assistance',
    `Dear Friend,\n\nI am Barrister Johnson Mbeki, attorney to the late Engr. Steve Moore who died in a plane crash with his family. He left the sum of US$12.5 million in a bank in Lagos. I seek your assistance to transfer this fund to your foreign account. You will receive 40% of the money. This transaction is risk free and strictly confidential. Kindly reply with your private telephone and fax number.`,
  ),
  mail(
    'Lose weight fast!!!',
    `Lose up to 40 pounds in one month without diet or exercise! Our amazing new fat burning formula is 100% natural and safe. As seen on TV! Order now and receive a free bottle. Limited time offer. To be removed from our mailing list click here.`,
  ),
  mail(
    'Instant approval! No credit check',
    `Bad credit? No problem! You have been pre-approved for a credit card with a limit of $10,000. No credit check, no security deposit, guaranteed approval. Consolidate your debt and save thousands of dollars. Apply FREE today, act now: http://credit.example`,
  ),
  mail(
    'Hot girls waiting for you',
    `Meet horny singles in your area tonight! Hundreds of amateur girls live on webcam, totally FREE. You must be over 18 to enter. Click here to join now, no credit card needed.`,
  ),
]
