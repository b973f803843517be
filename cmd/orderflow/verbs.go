package main

// verb is one command that a person may send from the shell. Its flags are the
// fields of its body.
type verb struct {
	name   string
	short  string
	fields []field
}

// field is one field of a command's body.
type field struct {
	flag     string
	json     string
	usage    string
	kind     kind
	required bool
}

// kind is what a field's flag takes.
type kind int

const (
	text   kind = iota
	number      // whole
	lines       // ID=QUANTITY, any number of times
	yes         // true when it is given
)

// noun is an aggregate that takes commands.
type noun struct {
	category string
	short    string
	key      string // how help names its id
	verbs    []verb
}

func nouns() []noun {
	reason := field{flag: "reason", json: "reason", usage: "`WHY`, for the record"}
	why := field{flag: "reason", json: "reason", usage: "`WHY`, for the record", required: true}
	refundID := field{flag: "refund", json: "refund_id", usage: "`ID` of a refund of the order, instead of its fulfilment"}
	currency := field{flag: "currency", json: "currency", usage: "`CODE` of the currency, for example EUR", required: true}
	price := field{flag: "price", json: "price", usage: "`AMOUNT` with the currency's decimals, for example 24.90", required: true}
	return []noun{
		{category: "order", key: "ORDER-ID", verbs: []verb{
			{"create", "Create an order", []field{
				{flag: "customer", json: "customer_id", usage: "`ID` of the customer", required: true},
				currency,
				{flag: "channel", json: "channel", usage: "`NAME` of where the order comes from"},
			}},
			{"add-item", "Add a product to a draft", []field{
				{flag: "sku", json: "sku", usage: "`SKU` of the product", required: true},
				{flag: "quantity", json: "quantity", usage: "how many, 1 to 9999", kind: number, required: true},
			}},
			{"change-quantity", "Change how many of a line are ordered; 0 removes it", []field{
				{flag: "line", json: "line_id", usage: "`ID` of the line, for example l1", required: true},
				{flag: "quantity", json: "quantity", usage: "how many, 0 to 9999", kind: number, required: true},
			}},
			{"remove-item", "Remove a line from a draft", []field{
				{flag: "line", json: "line_id", usage: "`ID` of the line, for example l1", required: true},
			}},
			{"set-shipping", "Say where an order goes", []field{
				{flag: "address", json: "address_ref", usage: "`REF` of the address", required: true},
				{flag: "country", json: "country", usage: "`CODE` of the country, for example DE", required: true},
			}},
			{"set-payment-method", "Say how an order is paid", []field{
				{flag: "method", json: "method_ref", usage: "`REF` of the payment method, for example card-ok", required: true},
			}},
			{"submit", "Place a draft as an order", nil},
			{"cancel", "Cancel an order that is not paid yet", []field{reason}},
			{"request-refund", "Ask for money back", []field{
				{flag: "line", json: "lines", usage: "`ID=QUANTITY` of a line whose goods are given back, for example l1=2; may be given several times", kind: lines},
				{flag: "amount", json: "amount", usage: "`AMOUNT` with the currency's decimals, instead of lines"},
				{flag: "currency", json: "currency", usage: "`CODE` of the amount's currency, when it is to be checked"},
				{flag: "restock", json: "restock", usage: "put the goods of the lines back into stock", kind: yes},
				reason,
			}},
		}},
		{category: "saga", key: "ORDER-ID", verbs: []verb{
			{"retry", "Ask the participant of a step again that people were asked about", []field{why, refundID}},
			{"resolve", "Say that a step is done, and go on", []field{why,
				{flag: "evidence", json: "evidence", usage: "`HOW` it is known that the step is done, for the record", required: true},
				{flag: "step", json: "step", usage: "`STEP` that is done, where two are open: dispatch or commit"},
				refundID,
			}},
			{"compensate", "Undo everything, as long as no capture is known", []field{why}},
			{"release", "Let a saga go on that was set aside", []field{why, refundID}},
		}},
		{category: "product", key: "SKU", short: "List, reprice and delist products", verbs: []verb{
			{"list", "Offer a product", []field{{flag: "name", json: "name", usage: "`NAME` that customers see", required: true}, price, currency}},
			{"reprice", "Change a product's price", []field{price, currency}},
			{"delist", "Offer a product no longer", []field{reason}},
		}},
		{category: "stock", key: "SKU", short: "Receive and adjust stock", verbs: []verb{
			{"register", "Begin to keep stock of a product", nil},
			{"receive", "Receive goods", []field{
				{flag: "quantity", json: "quantity", usage: "how many", kind: number, required: true},
				{flag: "reference", json: "reference", usage: "`REF` of the delivery", required: true},
			}},
			{"adjust", "Correct the stock after counting", []field{
				{flag: "delta", json: "delta", usage: "difference; negative when goods are missing", kind: number, required: true},
				{flag: "reason", json: "reason", usage: "`WHY`, for the record", required: true},
			}},
		}},
	}
}
