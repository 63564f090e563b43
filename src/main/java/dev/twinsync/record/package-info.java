/** What a record is: its schema, its normal forms and the JSON it travels as. */
package dev.twinsync.record;
