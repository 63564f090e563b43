package dev.twinsync.capture;

import org.apache.camel.Consumer;
import org.apache.camel.Processor;
import org.apache.camel.Producer;
import org.apache.camel.support.DefaultEndpoint;

/** See {@link TableLogComponent}. */
class TableLogEndpoint extends DefaultEndpoint {

    private KeyColumns keys;

    TableLogEndpoint(String uri, TableLogComponent component) {
        super(uri, component);
    }

    /** The tables that concern the entity, and the column of each that holds its key. */
    public void setKeys(String keys) {
        this.keys = KeyColumns.of(keys);
    }

    public String getKeys() {
        return keys == null ? null : keys.text();
    }

    KeyColumns keys() {
        return keys;
    }

    TableLogComponent component() {
        return (TableLogComponent) getComponent();
    }

    @Override
    public Consumer createConsumer(Processor processor) throws Exception {
        if (keys == null) {
            throw new IllegalArgumentException("table-log: keys is missing: write schema.table.column");
        }
        TableLogConsumer consumer = new TableLogConsumer(this, processor);
        configureConsumer(consumer);
        return consumer;
    }

    @Override
    public Producer createProducer() {
        throw new UnsupportedOperationException("nothing can be written to a log");
    }

    @Override
    public boolean isSingleton() {
        return true;
    }
}
