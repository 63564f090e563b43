package dev.twinsync;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.twinsync.flow.FailurePolicy;
import dev.twinsync.record.Json;
import org.apache.camel.CamelContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Lazy;
import org.springframework.scheduling.annotation.EnableScheduling;

/** What the routes name and no package owns. */
@Configuration
@EnableScheduling
class Beans {

    /** The error policy as routes/shared declares it, for the steps in Java. */
    @Bean
    @Lazy
    FailurePolicy policy(CamelContext camel) {
        return camel.getRegistry().lookupByNameAndType("failurePolicy", FailurePolicy.class);
    }

    /** The mapper of the flows: money keeps its digits. Not the web's mapper, which Spring makes itself. */
    @Bean(autowireCandidate = false)
    ObjectMapper exactJson() {
        return Json.MAPPER;
    }
}
